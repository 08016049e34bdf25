# SPDX-License-Identifier: Apache-2.0
# Folds what `perf script -F ip,sym` prints: one line a stack, root first, with its count.
NF == 0 {
	if (stack != "")
		count[stack]++
	stack = ""
	next
}
{
	name = $2
	for (i = 3; i <= NF; i++)
		name = name " " $i
	stack = stack == "" ? name : name ";" stack
}
END {
	if (stack != "")
		count[stack]++
	for (s in count)
		print s, count[s]
}
