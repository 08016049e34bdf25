/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A C++ program as most are: strings and vectors that exceptions would have to clean up, lambdas,
 * noexcept, virtual calls, exceptions that are thrown and caught now and then, in three threads.
 * Each of them is busy below a function of its own name. Writes a line when set up.
 */
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#define KEEP __attribute__((noinline, used))

static volatile std::uint64_t sink;

KEEP std::uint64_t spin(std::uint64_t n)
{
	std::uint64_t x = n;

	for (int i = 0; i < 3000; i++)
		x = x * 6364136223846793005u + 1442695040888963407u;
	return x;
}

struct Shape {
	virtual ~Shape() = default;
	virtual std::uint64_t area(std::uint64_t n) const = 0;
};

struct Square final : Shape {
	std::string name{"a name that needs memory of its own"};

	KEEP std::uint64_t area(std::uint64_t n) const override
	{
		std::vector<std::uint64_t> v(16, n);

		v.push_back(spin(n));
		return v.back() + name.size();
	}
};

/* A landing pad for `text`: its FDE names a personality routine. */
KEEP std::uint64_t with_cleanup(std::uint64_t n)
{
	std::string text = "some text that needs memory of its own " + std::to_string(n);
	std::unique_ptr<Shape> shape = std::make_unique<Square>();

	return shape->area(n) + text.size();
}

/* An exception that came through it would end the program: it has a table for that. */
KEEP std::uint64_t never_throws(std::uint64_t n) noexcept
{
	std::map<std::uint64_t, std::string> m;

	m[n % 7] = std::to_string(n);
	return with_cleanup(n + m.size());
}

KEEP std::uint64_t throws(std::uint64_t n)
{
	std::string text = std::to_string(n);

	if (n % 2 == 0)
		throw std::runtime_error(text);
	return n;
}

KEEP std::uint64_t catches(std::uint64_t n)
{
	try {
		n += throws(n);
	} catch (const std::runtime_error &e) {
		n += std::string(e.what()).size();
	}
	return n + with_cleanup(n);
}

KEEP std::uint64_t by_lambda(std::uint64_t n)
{
	std::vector<std::uint64_t> v{n, n + 3, n + 1, n + 2};
	std::function<bool(std::uint64_t, std::uint64_t)> less =
		[&v](std::uint64_t a, std::uint64_t b) { return spin(a + v.size()) < spin(b); };

	std::sort(v.begin(), v.end(), less);
	return v[0] + with_cleanup(n);
}

KEEP void work(std::uint64_t (*f)(std::uint64_t))
{
	for (std::uint64_t n = 0;; n++)
		sink = sink + f(n);
}

int main()
{
	std::thread first([] { work(never_throws); });
	std::thread second([] { work(by_lambda); });

	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	work(catches);
	return 0;
}
