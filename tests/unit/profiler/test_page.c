/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <string.h>

#include "page.h"
#include "unit_test.h"

static const struct page_asset *named(const char *path)
{
	for (size_t i = 0; i < page_nassets; i++)
		if (strcmp(page_assets[i].path, path) == 0)
			return &page_assets[i];
	return NULL;
}

static bool holds(const struct page_asset *a, const char *text)
{
	return memmem(a->bytes, a->len, text, strlen(text)) != NULL;
}

TEST(the_page_is_small)
{
	size_t sum = 0;

	for (size_t i = 0; i < page_nassets; i++)
		sum += page_assets[i].len;
	assert_in_range(sum, 5000, 250000);
}

TEST(every_part_that_the_page_names_is_there)
{
	const struct page_asset *page = &page_assets[0];
	size_t parts = 0;

	assert_string_equal(page->path, "/");
	for (size_t i = 1; i < page_nassets; i++) {
		assert_int_equal(strncmp(page_assets[i].path, "/ui/", 4), 0);
		assert_true(holds(page, page_assets[i].path + 1)); /* relative to the page */
		parts++;
	}
	assert_int_equal(parts, 2);
	assert_non_null(strstr(named("/ui/page.js")->mime, "javascript"));
	assert_non_null(strstr(named("/ui/page.css")->mime, "text/css"));
}

TEST(nothing_in_it_needs_more_than_the_policy_allows)
{
	static const char *const forbidden[] = {
		"innerHTML",      "outerHTML", "insertAdjacentHTML",  "eval(", "new Function(",
		"document.write", "http://",   "setAttribute('style'"};

	for (size_t i = 0; i < page_nassets; i++)
		for (size_t j = 0; j < sizeof forbidden / sizeof *forbidden; j++)
			assert_false(holds(&page_assets[i], forbidden[j]));
	assert_null(strstr(PAGE_POLICY, "unsafe"));
}

TEST(equal_bytes_have_equal_tags_only)
{
	for (size_t i = 0; i < page_nassets; i++) {
		assert_int_equal(strlen(page_assets[i].etag), 34);
		assert_int_equal(page_assets[i].etag[0], '"');
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(page_assets[i].etag, page_assets[j].etag);
	}
}
