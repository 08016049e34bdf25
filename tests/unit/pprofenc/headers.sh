#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The public headers, each alone and all together, as other programs compile them: strict, and without GNU's names.
#
#   headers.sh DIR gcc -std=c11 ...
set -u
dir=$1
shift
if ! command -v "$1" >/dev/null; then
	echo "no $1"
	exit 77
fi
case "$1" in
*++*) language=c++ ;;
*) language=c ;;
esac
bad=0
check() {
	printf '%s\n' "$@" 'int main(void) { return 0; }' |
		${compiler} -x $language -pedantic -Wall -Wextra -Wno-missing-field-initializers -Werror -I "$dir" -fsyntax-only - || bad=1
}
compiler=$*
for header in pprof.h pprof_report.h pprof_compare.h; do
	check "#include \"$header\""
done
check '#include "pprof.h"' '#include "pprof_report.h"' '#include "pprof_compare.h"' '
static int use(const struct pprof_profile *p, FILE *to)
{
	struct pprof_filter_options filter = PPROF_SIZED(filter);
	struct pprof_report_options report = PPROF_SIZED(report);
	struct pprof_compare_options compare = PPROF_SIZED(compare);
	struct pprof_comparison *c;
	struct pprof_profile *q;

	filter.focus = "main";
	report.filtered = &filter;
	return pprof_filter(p, &filter, &q, NULL) + pprof_report_top(p, &report, to) +
	       pprof_compare(&p, 1, &p, 1, &compare, &c, NULL);
}
int (*const used)(const struct pprof_profile *, FILE *) = use;'
exit $bad
