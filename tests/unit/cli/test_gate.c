/* SPDX-License-Identifier: Apache-2.0 */
/* The comparison of two sides: what it answers, in which words, and what its rules let pass. */
#include "cli_testing.h"

#include <math.h>

#include "diff_rules.h"
#include "gate.h"
#include "show_diff.h"
#include "unit_test.h"

/* --- rules ---------------------------------------------------------------------------------- */

static struct diff_rules *rules_of(const char *text)
{
	t_write(t_path("rules.yaml"), text);
	return diff_rules_load(t_path("rules.yaml"));
}

TEST(shares_are_numbers_or_per_cent)
{
	assert_true(diff_parse_percent("5%") == 0.05);
	assert_true(diff_parse_percent("0.05") == 0.05);
	assert_true(diff_parse_percent("5") == 0.05);
	assert_true(diff_parse_percent("0") == 0);
	assert_true(diff_parse_percent("0.5%") == 0.005);
	for (size_t i = 0; i < 6; i++)
		assert_true(diff_parse_percent(
				    (const char *[]){"", "x", "-5%", "5%%", "5 %", "nan"}[i]) < 0);
}

TEST_WITH(rules_go_by_name_the_first_counts, t_make_dir, t_remove_dir)
{
	struct diff_rules *r = rules_of("tolerance: 10%\n"
					"functions:\n"
					"  - name: main.parse*\n"
					"    tolerance: 20%\n"
					"  - name: main.*\n"
					"    tolerance: 30%\n"
					"accept:\n"
					"  - name: example.org/Map[...].Get?\n"
					"    reason: known\n");

	assert_non_null(r);
	assert_true(diff_rules_tolerance(r) == 0.1);
	assert_true(diff_rules_tolerance_of(r, "main.parseAll") == 0.2);
	assert_true(diff_rules_tolerance_of(r, "main.write") == 0.3);
	assert_true(diff_rules_tolerance_of(r, "other.f") < 0);
	assert_true(isinf(diff_rules_tolerance_of(r, "example.org/Map[...].Get2")));
	assert_true(diff_rules_tolerance_of(r, "example.org/Map[...].Get") < 0);
	assert_true(diff_rules_tolerance_of(NULL, "x") < 0);
	diff_rules_free(r);
	assert_silent();
}

TEST_WITH(bad_rules_are_refused, t_make_dir, t_remove_dir)
{
	assert_null(rules_of("tolerance: much\n"));
	assert_said("the tolerance of all wants a share");
	assert_null(rules_of("tolerance: 0\n"));
	assert_said("must be above 0");
	assert_null(rules_of("functions:\n  - name: f\n"));
	assert_said("f has no tolerance");
	assert_null(rules_of("unknown: 1\n"));
	assert_said("rules.yaml");
	assert_null(rules_of("tolerance: [\n"));
	assert_said("rules.yaml");
	assert_null(diff_rules_load(t_path("none")));
	assert_said("can't be read");
	diff_rules_free(rules_of("accept:\n  - name: f\n"));
	assert_said("f is accepted");
}

/* --- gates ------------------------------------------------------------------------------------ */

enum { RUNS = 6 };

static const char *const names[] = {"main.a", "main.b"};

/* Runs of the same work, in which main.a takes so many samples, give or take a few. */
static void add_runs(struct gate_side *s, const char *side, int64_t a, const char *go)
{
	for (int i = 0; i < RUNS; i++) {
		struct pprof_profile *p = t_calls(names, (const int64_t[]){a + i % 3, 1000 + i % 2},
						  2);
		char name[32], comment[32];

		snprintf(name, sizeof name, "%s-%d.pb.gz", side, i);
		snprintf(comment, sizeof comment, "build: go=%s", go);
		assert_int_equal(pprof_comment(p, comment), 0);
		t_save(p, t_path(name));
		assert_true(gate_take(s, t_path(name)));
		pprof_profile_free(p);
	}
}

static struct gate gate_of(int64_t base, int64_t head)
{
	struct gate g = {.lines = 10};

	add_runs(&g.base, "base", base, "go1.25");
	add_runs(&g.head, "head", head, "go1.25");
	return g;
}

static enum prowl_code answer(struct gate *g)
{
	enum prowl_code code = gate_check(g);

	if (code == PROWL_OK)
		code = gate_compare(g);
	gate_fini(g);
	return code;
}

static const struct opt row = {.name = "option"};

TEST_WITH(a_regression_is_an_exit_code, t_make_dir, t_remove_dir)
{
	struct gate g = gate_of(1000, 1000);
	char *text;

	assert_true(gate_take_output(&row, &g, t_path("x.txt")));
	assert_int_equal(answer(&g), PROWL_OK);
	text = t_read(t_path("x.txt"));
	t_has(text, "no regression");
	t_has(text, "6 base profiles (");
	free(text);
	g = gate_of(1000, 1500);
	assert_true(gate_take_output(&row, &g, t_path("x.txt")));
	assert_int_equal(answer(&g), PROWL_REGRESSION);
	text = t_read(t_path("x.txt"));
	t_has(text, "regression: the total and 1 function\n");
	t_has(text, "main.a\n");
	free(text);
	g = gate_of(1000, 1500);
	g.fail_on = GATE_FAIL_NEVER;
	assert_true(gate_take_output(&row, &g, t_path("x.txt")));
	assert_int_equal(answer(&g), PROWL_OK);
	g = gate_of(1500, 1000);
	assert_true(gate_take_output(&row, &g, t_path("x.txt")));
	assert_int_equal(answer(&g), PROWL_OK);
	text = t_read(t_path("x.txt"));
	t_has(text, "improved");
	free(text);
}

TEST_WITH(rules_let_it_pass, t_make_dir, t_remove_dir)
{
	struct gate g = gate_of(1000, 1500);

	t_write(t_path("r.yaml"), "tolerance: 60%\n");
	assert_true(gate_take_rules(&row, &g.rules, t_path("r.yaml")));
	assert_true(gate_take_output(&row, &g, t_path("x.txt")));
	assert_int_equal(answer(&g), PROWL_OK);
	assert_silent();
}

TEST_WITH(too_little_data_decides_nothing, t_make_dir, t_remove_dir)
{
	struct gate g = {.lines = 10};
	struct pprof_profile *p = t_calls(names, (const int64_t[]){2, 3}, 2);

	t_save(p, t_path("a.pb.gz"));
	t_save(p, t_path("b.pb.gz"));
	pprof_profile_free(p);
	assert_true(gate_take(&g.base, t_path("a.pb.gz")) && gate_take(&g.head, t_path("b.pb.gz")));
	assert_true(gate_take_output(&row, &g, t_path("x.txt")));
	assert_int_equal(answer(&g), PROWL_INCONCLUSIVE);
}

TEST_WITH(every_format_is_written, t_make_dir, t_remove_dir)
{
	static const struct {
		const char *file, *part;
	} outputs[] = {
		{"x.txt", "verdict"},           {"x.md", "### prowl: regression"},
		{"x.json", "\"functions\": ["}, {"x.xml", "<testsuite name=\"prowl diff\""},
		{"x.html", "<!DOCTYPE html>"},  {"x.svg", "<svg"},
	};
	struct gate g = gate_of(1000, 1500);
	char paths[6][128], *text;

	for (size_t i = 0; i < 6; i++) {
		snprintf(paths[i], sizeof paths[i], "%s", t_path(outputs[i].file));
		assert_true(gate_take_output(&row, &g, paths[i]));
	}
	assert_int_equal(answer(&g), PROWL_REGRESSION);
	for (size_t i = 0; i < 6; i++) {
		text = t_read(paths[i]);
		t_has(text, outputs[i].part);
		free(text);
	}
}

TEST(outputs_are_at_most_eight)
{
	struct gate g = {.lines = 10};

	for (size_t i = 0; i < 8; i++)
		assert_true(gate_take_output(&row, &g, "/dev/null"));
	assert_false(gate_take_output(&row, &g, "/dev/null"));
	assert_said("--output can be given 8 times");
	gate_fini(&g);
}

TEST_WITH(what_does_not_fit_is_said, t_make_dir, t_remove_dir)
{
	struct gate g = {.lines = 10};
	double v = 7;

	assert_int_equal(answer(&g), PROWL_USAGE);
	assert_said("there is no profile of base");
	assert_true(gate_take(&g.base, "a"));
	assert_int_equal(gate_check(&g), PROWL_USAGE);
	assert_said("there is no profile of head");
	assert_true(gate_take(&g.head, "b"));
	g.ops = "1,2";
	assert_int_equal(gate_check(&g), PROWL_USAGE);
	assert_said("--mode per-op and --ops belong together");
	g.o.exposure = PPROF_PER_OPERATION;
	g.ops = "1,2,3";
	assert_int_equal(gate_check(&g), PROWL_USAGE);
	assert_said("--ops has 3 numbers, but there are 2 profiles");
	gate_fini(&g);
	g = (struct gate){.format = "gif", .lines = 10};
	assert_int_equal(gate_check_outputs(&g), PROWL_USAGE);
	assert_said("unknown format 'gif'");
	assert_false(gate_take_share(&row, &v, "0"));
	assert_said("wants a share");
	assert_false(gate_take_part(&row, &v, "100%"));
	assert_said("less than 100%");
	assert_true(gate_take_part(&row, &v, "2%"));
	assert_true(v == 0.02);
}

TEST_WITH(what_makes_it_hard_to_compare_is_said, t_make_dir, t_remove_dir)
{
	struct gate g = {.lines = 10};
	char *text;

	add_runs(&g.base, "base", 1000, "go1.24");
	add_runs(&g.head, "head", 1000, "go1.25");
	assert_true(gate_take(&g.head, t_path("head-0.pb.gz")));
	assert_true(gate_take_output(&row, &g, t_path("x.txt")));
	assert_int_equal(answer(&g), PROWL_OK);
	text = t_read(t_path("x.txt"));
	t_has(text, "head-0.pb.gz is given more than once");
	t_has(text, "the Go version differs: go1.24 in ");
	free(text);
}

/* --- words ---------------------------------------------------------------------- */

/* A comparison with names that each format must escape. */
static struct pprof_comparison made(struct pprof_change changes[2])
{
	static const struct pprof_compare_options options = PPROF_SIZED(options);
	struct pprof_comparison c = {.options = &options,
				     .type = "cpu",
				     .unit = "nanoseconds",
				     .why = "",
				     .nbase = 5,
				     .nhead = 5,
				     .verdict = PPROF_REGRESSED,
				     .changes = changes,
				     .nchanges = 2,
				     .nregressed = 1,
				     .njudged = 1};

	changes[0] = (struct pprof_change){.name = "main.a<b>|`\"%:,",
					   .file = "/src/app/a:b.go",
					   .line = 7,
					   .base = 1e9,
					   .head = 2e9,
					   .ratio = 2,
					   .low = 1.5,
					   .high = 2.5,
					   .q = 0.00001,
					   .detectable = INFINITY,
					   .verdict = PPROF_REGRESSED};
	changes[1] = (struct pprof_change){
		.name = "main.b", .file = "", .detectable = INFINITY, .verdict = PPROF_NOT_JUDGED};
	c.total = (struct pprof_change){.name = "total",
					.file = "",
					.base = 2e9,
					.head = 3e9,
					.ratio = 1.5,
					.low = 1.4,
					.high = 1.6,
					.detectable = INFINITY,
					.verdict = PPROF_REGRESSED};
	return c;
}

TEST(names_are_escaped_in_every_format)
{
	static double totals[10] = {1};
	struct diff_words w = {.base = "b", .head = "h", .lines = 0, .workspace = "/src"};
	struct pprof_change changes[2];
	struct pprof_comparison c = made(changes);
	char *text, *line;

	c.totals = totals;
	T_SHOW(text, f, show_diff_text(f, &c, &w));
	t_has(text, "2.00s      3.00s    +50.0%");
	t_has(text, "+100.0%  +50.0% to +150.0%");
	t_has(text, "main.a<b>|`\"%:,\n");
	t_has(text, "... and 1 more without a significant change\n");
	t_has(text, "regression: the total and 1 function\n");
	free(text);
	T_SHOW(text, f, show_diff_markdown(f, &c, &w));
	t_has(text, "| `main.a<b>''\"%:,` | 1.00s | 2.00s | **+100.0%** |");
	t_has(text, "1 more without a significant change.");
	free(text);
	T_SHOW(text, f, show_diff_json(f, &c, &w));
	t_has(text, "\"name\": \"main.a<b>|`\\\"%:,\"");
	t_has(text, "\"ratio\": 2,");
	t_has(text, "\"ratio\": null,"); /* of main.b, which base has not */
	t_has(text, "\"detectable_ratio\": null");
	free(text);
	T_SHOW(text, f, show_diff_junit(f, &c, &w));
	t_has(text, "tests=\"2\" failures=\"2\" errors=\"0\" skipped=\"0\"");
	t_has(text, "name=\"main.a&lt;b&gt;|`&quot;%:,\"");
	t_lacks(text, "main.b");
	free(text);
	T_SHOW(text, f, show_diff_github(f, &c, &w));
	t_has(text,
	      "::error file=app/a%3Ab.go,line=7,title=prowl%3A cpu regressed::main.a<b>|`\"%25:,: 1.00s");
	free(text);
	line = show_diff_line(&c, 1);
	assert_string_equal(
		line, "main.a<b>|`\"%:,: regressed, 1.00s to 2.00s, +100.0% (+50.0% to +150.0%)");
	free(line);
}

TEST(an_answer_that_is_open_is_a_warning)
{
	struct diff_words w = {.base = "b", .head = "h"};
	struct pprof_change changes[2];
	struct pprof_comparison c = made(changes);
	static double totals[10] = {1};
	char *text;

	c.totals = totals;
	c.verdict = PPROF_UNDECIDED;
	c.why = "runs vary <too> much";
	T_SHOW(text, f, show_diff_verdict(f, &c));
	assert_string_equal(text, "inconclusive: runs vary <too> much\n");
	free(text);
	T_SHOW(text, f, show_diff_github(f, &c, &w));
	t_has(text, "::warning title=prowl::inconclusive: runs vary");
	free(text);
	T_SHOW(text, f, show_diff_junit(f, &c, &w));
	t_has(text, "failures=\"0\" errors=\"0\" skipped=\"1\"");
	t_has(text, "<skipped message=\"inconclusive: runs vary &lt;too&gt; much\"/>");
	free(text);
}

static int begin(void **state)
{
	/* A job of GitHub Actions would get annotations. */
	unsetenv("GITHUB_ACTIONS");
	unsetenv("GITHUB_STEP_SUMMARY");
	t_listen();
	return 0;
}

TEST_GROUP(begin, NULL);
