/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The call tree, the data of the HTML report and the SVG; tests/e2e/report_page.py drives them in a
 * browser.
 */
#include "testing.h"
#include "pprof_report.h"

#include <errno.h>
#include <zlib.h>

#include "calltree.h"
#include "markup.h"
#include "processes.h"
#include "unit_test.h"

static char *written(const struct pprof_profile *p, const char *format,
		     const struct pprof_report_options *o)
{
	char *text;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	assert_int_equal(pprof_exporter_named(format)->write(p, o, f), 0);
	fclose(f);
	return text;
}

static unsigned digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	return c == '=' ? 0 : (unsigned)(strchr(digits, c) - digits);
}

/* The JSON in a page. */
static char *data_of(const char *page)
{
	static const char before[] = "id=\"data\">";
	const char *from = strstr(page, before), *end;
	size_t cap = 1 << 20, n = 0;
	uint8_t *packed = malloc(strlen(page));
	char *json = calloc(1, cap);
	z_stream z = {0};

	assert_non_null(from);
	from += strlen(before);
	end = strchr(from, '<');
	assert_int_equal((end - from) % 4, 0);
	for (; from < end; from += 4) {
		uint32_t v = digit(from[0]) << 18 | digit(from[1]) << 12 | digit(from[2]) << 6 |
			     digit(from[3]);

		packed[n++] = (uint8_t)(v >> 16);
		packed[n++] = (uint8_t)(v >> 8);
		packed[n++] = (uint8_t)v;
	}
	assert_int_equal(inflateInit2(&z, 16 + MAX_WBITS), Z_OK);
	z.next_in = packed;
	z.avail_in = (uInt)n;
	z.next_out = (Bytef *)json;
	z.avail_out = (uInt)cap - 1;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	inflateEnd(&z);
	free(packed);
	return json;
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("%s is not in %.4000s", part, text);
}

static void has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		fail_msg("%s is in %.4000s", part, text);
}

/* Stacks as words, root first: "main work leaf". */
static void add(struct pprof_profile *p, const char *stack, int64_t count)
{
	char words[256], *rest = words, *word;
	uint32_t ids[32], turned[32];
	size_t n = 0;

	snprintf(words, sizeof words, "%s", stack);
	while ((word = strsep(&rest, " ")))
		ids[n++] = t_loc(p, 0, 0x400000 + t_str(p, word), word, 1);
	for (size_t i = 0; i < n; i++)
		turned[i] = ids[n - 1 - i];
	t_add(p, turned, n, count, NULL, 0);
}

static struct pprof_profile *small(bool turned)
{
	static const char *const stacks[] = {"main work leaf", "main work", "main",
					     "main other leaf", "main work leaf work"};
	struct pprof_profile *p = t_new();

	t_types(p);
	t_mapping(p, 0x400000, "/usr/bin/small");
	for (int i = 0; i < 5; i++)
		add(p, stacks[turned ? 4 - i : i], turned ? 5 - i : i + 1);
	return p;
}

/* --- the tree -------------------------------------------------------------------- */

TEST(a_tree_has_each_stack_once)
{
	static const struct {
		const char *name;
		uint32_t parent, depth, end;
		int64_t self;
	} want[] = {{"", 0, 0, 7, 0},     {"main", 0, 1, 7, 3}, {"other", 1, 2, 4, 0},
		    {"leaf", 2, 3, 4, 4}, {"work", 1, 2, 7, 2}, {"leaf", 4, 3, 7, 1},
		    {"work", 5, 4, 7, 5}};

	for (int turned = 0; turned < 2; turned++) {
		struct pprof_profile *p = small(turned);
		struct calltree t;

		assert_int_equal(pp_calltree_init(&t, p,
						  &(struct pprof_report_options){
							  sizeof(struct pprof_report_options)}),
				 0);
		assert_int_equal(t.nnodes, 7);
		assert_int_equal(t.nfuncs, 4);
		for (size_t i = 0; i < 7; i++) {
			const struct tree_node *n = &t.nodes[i];

			if (i > 0)
				assert_string_equal(t.funcs[n->func].name, want[i].name);
			assert_int_equal(n->parent, want[i].parent);
			assert_int_equal(n->depth, want[i].depth);
			assert_int_equal(n->end, want[i].end);
			assert_int_equal(t.self[2 * i], want[i].self);
			assert_int_equal(t.self[2 * i + 1], want[i].self * 10000000);
		}
		pp_calltree_fini(&t);
		pprof_profile_free(p);
	}
}

TEST(a_base_stands_beside)
{
	struct pprof_profile *p = small(false), *base = t_new();
	struct calltree t;

	assert_int_equal(pprof_sample_type(base, "cpu", "nanoseconds"), 0);
	t_mapping(base, 0x400000, "/usr/bin/small");
	{
		uint32_t stack[] = {t_loc(base, 0, 0x400009, "gone", 1),
				    t_loc(base, 0, 0x400008, "main", 1)};

		assert_int_equal(pprof_sample_add(base, stack, 2, (int64_t[]){70}, NULL, 0), 0);
	}
	assert_int_equal(pp_calltree_init(&t, p,
					  &(struct pprof_report_options){
						  .size = sizeof(struct pprof_report_options),
						  .base = base}),
			 0);
	assert_int_equal(t.nvalues, 4);
	assert_int_equal(t.nnodes, 8);
	assert_string_equal(t.funcs[t.nodes[2].func].name, "gone");
	/* the type that the base doesn't have is 0 there */
	assert_memory_equal(t.self + 2 * 4, ((int64_t[]){0, 0, 0, 70}), 4 * sizeof(int64_t));
	assert_memory_equal(t.self + 1 * 4, ((int64_t[]){3, 30000000, 0, 0}), 4 * sizeof(int64_t));
	pp_calltree_fini(&t);
	pprof_profile_free(p);
	pprof_profile_free(base);
}

TEST(kinds_follow_names)
{
	static const struct {
		const char *name, *file, *object;
		enum frame_kind kind;
		enum pprof_granularity granularity;
	} cases[] = {
		{"main.main", "/src/main.go", "server", KIND_GO},
		{"net/http.(*conn).serve", "net/http/server.go", "server", KIND_GO},
		{"memeqbody", "internal/bytealg/equal_amd64.s", "server", KIND_RUNTIME},
		{"aeshashbody", "/usr/lib/go-1.19/src/runtime/asm_amd64.s", "server", KIND_RUNTIME},
		{"_rt0_amd64_linux", "runtime/rt0_linux_amd64.s", "server", KIND_RUNTIME},
		{"cmpbody", "/src/go/src/internal/bytealg/compare_amd64.s", "s", KIND_RUNTIME},
		{"internal/bytealg.IndexByte", "internal/bytealg/x.s", "s", KIND_RUNTIME},
		{"aeshashbody /r/src/runtime/asm_amd64.s:9", "/r/src/runtime/asm_amd64.s", "s",
		 KIND_RUNTIME, PPROF_LINE},
		{"0000000000401000 memeqbody internal/bytealg/equal_amd64.s:9",
		 "internal/bytealg/equal_amd64.s", "s", KIND_RUNTIME, PPROF_ADDRESS},
		{"internal/bytealg", "", "server", KIND_RUNTIME, PPROF_PACKAGE},
		{"p256MulInternal", "crypto/internal/nistec/p256_asm_amd64.s", "s", KIND_GO},
		{"crosscall2", "runtime/cgo/asm_amd64.s", "server", KIND_GO},
		{"body", "/root/go/pkg/mod/example.com/runtime@v1.0.0/x.s", "server", KIND_GO},
		{"body", "/work/runtime/x.s", "server", KIND_GO},
		{"cmpbody", "", "libc.so.6", KIND_NATIVE},
		{"main.main", "", "server", KIND_GO},
		{"runtime.mallocgc", "runtime/malloc.go", "server", KIND_RUNTIME},
		{"runtime/internal/atomic.Load", "x.go", "server", KIND_RUNTIME},
		{"internal/runtime/maps.(*Map).Get", "x.go", "server", KIND_RUNTIME},
		{"runtime.mcall", "", "", KIND_RUNTIME},
		{"runtimes.F", "x.go", "server", KIND_GO},
		{"example.com/runtime.F", "x.go", "server", KIND_GO},
		{"do_syscall_64", "", "[kernel.kallsyms]", KIND_KERNEL},
		{"finish_task_switch.isra.0", "", "[kernel.kallsyms]", KIND_KERNEL},
		{"[kernel, not sampled]", "", "", KIND_KERNEL},
		{"malloc", "", "libc.so.6", KIND_NATIVE},
		{"__memmove_avx.part.0", "", "", KIND_NATIVE},
		{"std::map<int>::find", "/usr/include/map.h", "tool", KIND_NATIVE},
		{"[libc.so.6]", "", "libc.so.6", KIND_NATIVE},
		{"[lost]", "", "", KIND_OTHER},
		{"[runtime]", "", "", KIND_RUNTIME},
		{"bufio", "", "server", KIND_GO, PPROF_PACKAGE},
		{"runtime", "", "server", KIND_RUNTIME, PPROF_PACKAGE},
		{"runtime/debug", "", "server", KIND_GO, PPROF_PACKAGE},
		{"[libc.so.6]", "", "libc.so.6", KIND_NATIVE, PPROF_PACKAGE},
		{"[kernel.kallsyms]", "", "[kernel.kallsyms]", KIND_KERNEL, PPROF_PACKAGE},
		{"/usr/lib/go-1.19/src/runtime/proc.go", "proc.go", "server", KIND_RUNTIME,
		 PPROF_FILE},
		{"runtime/proc.go", "runtime/proc.go", "server", KIND_RUNTIME, PPROF_FILE},
		{"/src/app/main.go", "/src/app/main.go", "server", KIND_GO, PPROF_FILE},
		{"0000000000401000 runtime.mcall", "asm.s", "server", KIND_RUNTIME, PPROF_ADDRESS},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		enum frame_kind kind = pp_frame_kind(cases[i].name, cases[i].file, cases[i].object,
						     cases[i].granularity);

		if (kind != cases[i].kind)
			fail_msg("%s is taken for kind %d", cases[i].name, (int)kind);
	}
}

/* --- several processes ----------------------------------------------------------- */

static void add_process(struct pprof_profile *p, int64_t pid, const char *comm, int64_t count)
{
	struct pprof_label l[] = {
		{.key = t_str(p, "pid"), .unit = t_str(p, "id"), .num = pid},
		{.key = t_str(p, "comm"), .str = t_str(p, comm)},
	};
	uint32_t loc = t_loc(p, t_mapping(p, 0x400000, "/bin/one"), 0x400001, "main.main", 1);

	t_add(p, &loc, 1, count, l, *comm ? 2 : 1);
}

static void named(const struct pprof_profile *p, const char *several, const char *title)
{
	char *s = pp_processes(p), *t = pp_title(p);

	assert_string_equal(s, several);
	assert_string_equal(t, title);
	free(s);
	free(t);
}

/* One binary's name is not that of a profile of several processes: text, page, picture, JSON. */
TEST(several_processes_are_named)
{
	struct pprof_report_options o = {.size = sizeof o, .sample_type = "cpu"};
	struct pprof_profile *p = t_new();
	char *text;

	t_types(p);
	named(p, "", "profile");
	add_process(p, 7, "first", 1);
	named(p, "", "one");
	add_process(p, 8, "sec<o>nd", 2);
	named(p, "sec<o>nd (pid 8), first (pid 7)", "sec<o>nd (pid 8), first (pid 7)");
	text = written(p, "top", &o);
	has(text, "Processes: sec<o>nd (pid 8), first (pid 7)\nType: cpu\n");
	assert_null(strstr(text, "File: "));
	free(text);
	text = written(p, "html", &o);
	has(text, "<title>sec&lt;o&gt;nd (pid 8), first (pid 7) ");
	free(text);
	text = written(p, "svg", &o);
	has(text, ">sec&lt;o&gt;nd (pid 8), first (pid 7): cpu ");
	free(text);
	text = written(p, "speedscope", &o);
	has(text, "\"name\":\"sec<o>nd (pid 8), first (pid 7)\"");
	free(text);
	/* many: grouped by name, the rest as a number */
	for (int64_t i = 10; i < 20; i++)
		add_process(p, i, "cc", 1);
	add_process(p, 30, "", 5);
	add_process(p, 31, "a", 4);
	add_process(p, 32, "b", 1);
	add_process(p, 33, "b", 1);
	named(p, "cc (10 processes), pid 30, a (pid 31), b (2 processes) and 2 more",
	      "cc (10 processes), pid 30, a (pid 31), b (2 processes) and 2 more");
	pprof_profile_free(p);
}

/* --- HTML ------------------------------------------------------------------------ */

TEST(a_page_has_the_data)
{
	struct pprof_profile *p = small(false), *q = small(true);
	char *page, *again, *json;

	p->duration_nanos = q->duration_nanos = 5000000000;
	page = written(p, "html", NULL);
	again = written(q, "html", NULL);
	assert_string_equal(page, again);
	json = data_of(page);
	has(json, "\"file\":\"/usr/bin/small\",\"buildId\":\"c0ffee\"");
	has(json, "\"duration\":5000000000");
	has(json, "\"types\":[[\"samples\",\"count\"],[\"cpu\",\"nanoseconds\"]],\"type\":1");
	has(json, "\"names\":[\"leaf\",\"main\",\"other\",\"work\"]");
	has(json, "\"funcs\":[1,2,0,3,0,3],\"ups\":[0,0,0,2,0,0]");
	has(json, "\"values\":[[1,3,2,4,1,2,1,1,1,5],[1,30000000,");
	has(json, "\"files\":[[0,\"main.go\"]]");
	has(page, "default-src 'none'");
	has_not(page, "POLICY@");
	has_not(page, "SCRIPT@");
	free(json);
	free(page);
	free(again);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

TEST(a_page_compares)
{
	struct pprof_profile *p = small(false), *q = t_rich();
	struct pprof_report_options o = {.size = sizeof o, .base = q, .sample_type = "samples"};
	char *page = written(p, "html", &o), *json = data_of(page);

	has(json, "\"type\":0");
	has(json, "\"base\":{\"file\":\"/usr/bin/target\"");
	has(json, "\"comments\":[\"second thoughts\",\"a remark\"]");
	has(json, "\"main.leaf\"");
	free(json);
	free(page);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

/* --- the tree as JSON ------------------------------------------------------------ */

TEST(the_tree_alone_is_what_the_page_has)
{
	struct pprof_profile *p = small(false), *q = t_rich();
	struct pprof_report_options o = {.size = sizeof o, .base = q, .sample_type = "samples"};
	char *page = written(p, "html", &o), *json = data_of(page), *tree;

	o.nodes = 100;
	tree = written(p, "flame", &o);
	assert_int_equal(strlen(tree), strlen(json) + 1);
	assert_memory_equal(tree, json, strlen(json));
	assert_int_equal(tree[strlen(json)], '\n');
	free(page);
	free(json);
	free(tree);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

TEST(the_heaviest_frames_stay_and_the_rest_is_named)
{
	struct pprof_profile *p = small(false);
	struct pprof_report_options o = {.size = sizeof o, .sample_type = "samples", .nodes = 3};
	char *json = written(p, "flame", &o);

	/* main 15, work 8, leaf 6 below it; not other with its leaf, 4, nor work below leaf, 5 */
	has(json, "\"names\":[\"leaf\",\"main\",\"work\",\"[rest]\"]");
	has(json, "\"kinds\":[0,0,0,4]");
	has(json, "\"funcs\":[1,2,0,3,3],\"ups\":[0,0,0,0,3]");
	has(json, "\"values\":[[1,3,1,2,1,1,1,5,1,4],");
	has(json, "\"pruned\":3}");
	free(json);
	o.nodes = 1;
	json = written(p, "flame", &o);
	has(json, "\"funcs\":[0,1],\"ups\":[0,0],\"values\":[[1,3,1,12],");
	free(json);
	o.nodes = 6;
	json = written(p, "flame", &o);
	has_not(json, "rest");
	has_not(json, "pruned");
	free(json);
	pprof_profile_free(p);
}

TEST(what_only_the_base_has_is_not_pruned_for_that)
{
	struct pprof_profile *p = small(false), *base = t_new();
	struct pprof_report_options o = {.size = sizeof o, .base = base, .nodes = 2};
	char *json;

	t_types(base);
	t_mapping(base, 0x400000, "/usr/bin/small");
	add(base, "gone", 7);
	json = written(p, "flame", &o);
	has(json, "\"names\":[\"gone\",\"main\",\"[rest]\"]");
	free(json);
	pprof_profile_free(p);
	pprof_profile_free(base);
}

/* Whatever is left out: sums stay, and so does the order, callers first. */
TEST(pruning_keeps_sums)
{
	struct pprof_profile *p = t_new();
	int64_t all = 0;
	char stack[64];

	t_types(p);
	t_mapping(p, 0x400000, "/usr/bin/small");
	for (unsigned i = 0; i < 300; i++) {
		snprintf(stack, sizeof stack, "f%u g%u h%u f%u", i % 3, i % 7, i % 11, i % 13);
		add(p, stack, (int)(i * 37 % 101) - 20);
		all += (int)(i * 37 % 101) - 20;
	}
	for (size_t nodes = 1; nodes < 300; nodes += 7) {
		struct calltree t;
		int64_t sum = 0, rest = 0;

		assert_int_equal(pp_calltree_init(&t, p,
						  &(struct pprof_report_options){
							  sizeof(struct pprof_report_options)}),
				 0);
		assert_int_equal(pp_calltree_prune(&t, nodes), 0);
		for (size_t i = 0; i < t.nnodes; i++) {
			sum += t.self[2 * i];
			assert_in_range(t.nodes[i].end, i + 1, t.nodes[t.nodes[i].parent].end);
			if (i == 0)
				continue;
			rest += !strcmp(t.funcs[t.nodes[i].func].name, "[rest]");
			assert_true(t.nodes[i].parent < i);
			assert_int_equal(t.nodes[i].depth, t.nodes[t.nodes[i].parent].depth + 1);
		}
		assert_int_equal(sum, all);
		assert_int_equal(t.nnodes - 1 - (size_t)rest, nodes);
		pp_calltree_fini(&t);
	}
	pprof_profile_free(p);
}

TEST(missing_types_are_refused)
{
	static const char *const names[] = {"html", "svg", "flame"};
	struct pprof_profile *p = small(false), *none = t_new();
	struct pprof_report_options typed = {.size = sizeof typed, .sample_type = "heap"},
				    based = {.size = sizeof based, .base = none};
	FILE *f = fopen("/dev/null", "w");

	for (int i = 0; i < 3; i++) {
		const struct pprof_exporter *e = pprof_exporter_named(names[i]);

		assert_int_equal(e->write(p, &typed, f), -ENOENT);
		assert_int_equal(e->write(p, &based, f), -EINVAL);
		assert_int_equal(e->write(none, NULL, f), -ENOENT);
	}
	fclose(f);
	f = fopen("/dev/full", "w");
	setvbuf(f, NULL, _IONBF, 0);
	assert_int_equal(pprof_report_html(p, NULL, f), -EIO);
	assert_int_equal(pprof_report_svg(p, NULL, f), -EIO);
	assert_int_equal(pprof_report_flame(p, NULL, f), -EIO);
	fclose(f);
	pprof_profile_free(p);
	pprof_profile_free(none);
}

/* --- SVG ------------------------------------------------------------------------- */

TEST(a_picture_is_to_scale)
{
	struct pprof_profile *p = small(false), *q = small(true);
	char *svg = written(p, "svg", NULL), *again = written(q, "svg", NULL);

	assert_string_equal(svg, again);
	/* 15 in all; the widest callee first */
	has(svg, "<title>main\n150ms (100%), ");
	has(svg, "<title>work\n80ms (53.33%), ");
	has(svg, "<rect x=\"0.00\" y=\"98\" width=\"640.00\" height=\"17\"/>");
	has(svg, "<rect x=\"640.00\" y=\"98\" width=\"320.00\" height=\"17\"/>");
	free(svg);
	free(again);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

TEST(narrow_frames_are_merged)
{
	struct pprof_profile *p = t_new();
	char name[32], *svg;

	t_types(p);
	t_mapping(p, 0x400000, "/usr/bin/small");
	add(p, "main wide", 1000000);
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "main zzz%d", i);
		add(p, name, 50);
	}
	svg = written(p, "svg", NULL);
	has(svg, "<title>(50 small)\n");
	has(svg, "<title>wide\n");
	has_not(svg, "zzz");
	free(svg);
	pprof_profile_free(p);
}

TEST(names_stay_text)
{
	static const char name[] = "a<b>&\"]]>\x1b[31m\xe2\x80\xaex</script>";
	struct pprof_profile *p = t_new();
	char *svg, *page, *json;

	t_types(p);
	t_mapping(p, 0x400000, "/usr/bin/<x>");
	add(p, name, 5);
	svg = written(p, "svg", NULL);
	has(svg, "a&lt;b&gt;&amp;&quot;]]&gt;?[31m\xef\xbf\xbdx&lt;/script&gt;\n");
	has_not(svg, "<b>");
	has(svg, "&lt;x&gt;");
	page = written(p, "html", NULL);
	has_not(page, "a<b>");
	json = data_of(page);
	has(json, "\"a\\u003cb>&\\\"]]>?[31m\xef\xbf\xbdx\\u003c/script>\"");
	free(json);
	free(page);
	free(svg);
	pprof_profile_free(p);
}

TEST(long_names_are_cut_between_characters)
{
	struct pprof_profile *p = t_new();
	char *name = calloc(1, 90001), *svg;

	for (int i = 0; i < 30000; i++)
		memcpy(name + 3 * i, "\xe6\x97\xa5", 3);
	t_types(p);
	t_mapping(p, 0x400000, "/usr/bin/small");
	add(p, "main", 1000);
	t_add(p, (uint32_t[]){t_loc(p, 0, 0x400001, name, 1)}, 1, 30, NULL, 0);
	svg = written(p, "svg", NULL);
	assert_true(strlen(svg) < 40000);
	for (size_t i = 0; svg[i]; i++)
		if (svg[i] == '\xe6')
			assert_memory_equal(svg + i, "\xe6\x97\xa5", 3);
	free(svg);
	free(name);
	pprof_profile_free(p);
}

TEST(odd_values_are_drawn)
{
	struct pprof_profile *p = t_new();
	uint32_t deep[4000];
	char *svg, *page;

	t_types(p);
	svg = written(p, "svg", NULL);
	has(svg, "no samples");
	free(svg);
	t_mapping(p, 0x400000, "/usr/bin/small");
	add(p, "main less", -40);
	add(p, "main more", 60);
	svg = written(p, "svg", NULL);
	has(svg, "<title>less\n-400ms (40.00%)");
	has(svg, "<title>main\n200ms (20.00%)");
	has(svg, "width=\"480.00\"");
	free(svg);
	for (int i = 0; i < 4000; i++)
		deep[i] = t_loc(p, 0, 0x400000 + i, i % 2 ? "ping" : "pong", 1);
	t_add(p, deep, 4000, 1000, NULL, 0);
	t_add(p, deep, 1, INT64_MAX / 10000000, NULL, 0);
	t_add(p, deep + 1, 1, INT64_MIN / 10000000, NULL, 0);
	svg = written(p, "svg", NULL);
	page = written(p, "html", NULL);
	free(svg);
	free(page);
	pprof_profile_free(p);
}
