/* SPDX-License-Identifier: Apache-2.0 */
/* Results of filters as folded stacks; tests/e2e/equal.py compares them with pprof's. */
#include "testing.h"
#include "pprof_report.h"
#include "unit_test.h"

#include <errno.h>
#include <time.h>

static char *text_of(const struct pprof_profile *p, const char *format,
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

static struct pprof_profile *filtered(const struct pprof_profile *p,
				      const struct pprof_filter_options *o)
{
	struct pprof_filter_options sized = o ? *o : (struct pprof_filter_options){0};
	struct pprof_profile *q;
	struct pprof_diag d = {0};
	int r;

	sized.size = sizeof sized;
	r = pprof_filter(p, o ? &sized : NULL, &q, &d);

	if (r < 0)
		fail_msg("%d: %s, %s at %d", r, d.what, d.detail, (int)d.at);
	return q;
}

/* Filters, folds and compares. */
static void leaves(const struct pprof_profile *p, struct pprof_filter_options o, const char *want)
{
	struct pprof_report_options samples = {.size = sizeof samples, .sample_type = "samples"};
	struct pprof_profile *q = filtered(p, &o);
	char *text = text_of(q, "folded", &samples);

	assert_string_equal(text, want);
	free(text);
	pprof_profile_free(q);
}

static uint32_t function_in(struct pprof_profile *p, const char *name, const char *file)
{
	struct pprof_function f = {t_str(p, name), t_str(p, name), t_str(p, file), 3};
	uint32_t i;

	assert_int_equal(pprof_function(p, &f, &i), 0);
	return i;
}

static uint32_t place(struct pprof_profile *p, uint32_t mapping, uint64_t address,
		      const struct pprof_line *lines, size_t n)
{
	uint32_t i;

	assert_int_equal(pprof_location(p, mapping, address, lines, n, &i), 0);
	return i;
}

static struct pprof_label text_label(struct pprof_profile *p, const char *key, const char *value)
{
	return (struct pprof_label){.key = t_str(p, key), .str = t_str(p, value)};
}

static struct pprof_label number_label(struct pprof_profile *p, const char *key, int64_t value,
				       const char *unit)
{
	return (struct pprof_label){.key = t_str(p, key), .num = value, .unit = t_str(p, unit)};
}

/* A server whose handler is inlined, Go's runtime below and above it, C code, and labels. */
static struct pprof_profile *server(void)
{
	struct pprof_profile *p = t_new();
	uint32_t m, so, root, serve, handle, malloc_, clear, copy, raw, kernel, near;
	struct pprof_label labels[2];
	struct pprof_line l[3];

	t_types(p);
	m = t_mapping(p, 0x400000, "/usr/bin/server");
	so = t_mapping(p, 0x7f0000000000, "/lib/libc.so.6");
	kernel = t_mapping(p, 0xffffffff80000000, "[kernel.kallsyms]");
	l[0] = (struct pprof_line){function_in(p, "runtime.main", "/go/runtime/proc.go"), 250, 0};
	root = place(p, m, 0x401000, l, 1);
	l[0] = (struct pprof_line){
		function_in(p, "net/http.(*conn).serve", "/go/net/http/server.go"), 1900, 0};
	serve = place(p, m, 0x402000, l, 1);
	l[0] = (struct pprof_line){function_in(p, "main.decode", "/src/./api/../main.go"), 7, 0};
	l[1] = (struct pprof_line){function_in(p, "main.handle", "/src/main.go"), 20, 0};
	handle = place(p, m, 0x403000, l, 2);
	l[0] = (struct pprof_line){function_in(p, "internal/runtime/sys.Len", "/go/sys/bits.go"), 4,
				   0};
	l[1] = (struct pprof_line){function_in(p, "runtime.mallocgc", "/go/runtime/malloc.go"), 99,
				   0};
	malloc_ = place(p, m, 0x404000, l, 2);
	l[0] = (struct pprof_line){function_in(p, "runtime.memclr", "/go/runtime/memclr_amd64.s"),
				   5, 0};
	l[1] = (struct pprof_line){
		function_in(p, "main.grow[go.shape.struct { x/y.Z }]", "/src/grow.go"), 30, 0};
	clear = place(p, m, 0x405000, l, 2);
	l[0] = (struct pprof_line){function_in(p, "memcpy", ""), 0, 0};
	copy = place(p, so, 0x7f0000001000, l, 1);
	raw = place(p, so, 0x7f0000002000, NULL, 0);
	l[0] = (struct pprof_line){function_in(p, "finish_task_switch.isra.0", ""), 0, 0};
	kernel = place(p, kernel, 0xffffffff80001000, l, 1);
	l[0] = (struct pprof_line){function_in(p, "runtimex.New", "/src/runtimex/new.go"), 2, 0};
	near = place(p, m, 0x406000, l, 1);
	labels[0] = text_label(p, "endpoint", "/api");
	labels[1] = number_label(p, "bytes", 32 << 10, "bytes");
	t_add(p, (uint32_t[]){malloc_, handle, serve, root}, 4, 1, labels, 2);
	labels[1] = number_label(p, "bytes", -16, "bytes");
	t_add(p, (uint32_t[]){clear, handle, serve, root}, 4, 2, labels, 2);
	labels[0] = text_label(p, "endpoint", "/static");
	t_add(p, (uint32_t[]){copy, serve, root}, 3, 4, labels, 1);
	t_add(p, (uint32_t[]){raw, serve, root}, 3, 8, NULL, 0);
	t_add(p, (uint32_t[]){kernel, malloc_, root}, 3, 16, NULL, 0);
	t_add(p, (uint32_t[]){malloc_, root}, 2, 32, NULL, 0);
	t_add(p, (uint32_t[]){near, root}, 2, 64, NULL, 0);
	return p;
}

#define API   "runtime.main;net/http.(*conn).serve;main.handle;main.decode;"
#define ALLOC "runtime.mallocgc;internal/runtime/sys.Len"

TEST(names_choose_stacks_and_frames)
{
	static const struct {
		struct pprof_filter_options o;
		const char *want;
	} cases[] = {
		{{.focus = "decode$"},
		 API "main.grow[go.shape.struct { x/y.Z }];runtime.memclr 2\n" API ALLOC " 1\n"},
		/* the file of a function, and of a mapping */
		{{.focus = "server\\.go", .ignore = "malloc|memclr_"},
		 "runtime.main;net/http.(*conn).serve;[libc.so.6] 8\n"
		 "runtime.main;net/http.(*conn).serve;memcpy 4\n"},
		{{.focus = "kallsyms"}, "runtime.main;" ALLOC ";finish_task_switch.isra.0 16\n"},
		/* inlined frames go one by one, the value to the caller; all of libc matches */
		{{.focus = "handle", .hide = "decode|memclr|libc"},
		 "runtime.main;net/http.(*conn).serve;main.handle;"
		 "main.grow[go.shape.struct { x/y.Z }] 2\n"
		 "runtime.main;net/http.(*conn).serve;main.handle;" ALLOC " 1\n"},
		{{.show = "^main"},
		 "main.handle;main.decode 1\n"
		 "main.handle;main.decode;main.grow[go.shape.struct { x/y.Z }] 2\n"},
		/* as in pprof: code without symbols has no line that could be shown */
		{{.show = "libc"}, "memcpy 4\n"},
		{{.show_from = "decode|mallocgc"},
		 "main.decode;main.grow[go.shape.struct { x/y.Z }];runtime.memclr 2\n"
		 "main.decode;runtime.mallocgc;internal/runtime/sys.Len 1\n" ALLOC " 32\n" ALLOC
		 ";finish_task_switch.isra.0 16\n"},
		{{.focus = "no such thing"}, ""},
	};
	struct pprof_profile *p = server();

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		leaves(p, cases[i].o, cases[i].want);
	pprof_profile_free(p);
}

/* A filtered profile contains no names of what was removed. */
TEST(removed_frames_leave_no_trace)
{
	static const struct pprof_filter_options cases[] = {
		{.ignore = "kallsyms|runtimex|memcpy"},
		{.focus = "main\\.handle"},
		{.tag_focus = "endpoint=/api"},
		{.tag_focus = "endpoint=/api", .granularity = PPROF_PACKAGE},
		{.show = "main\\."},
	};
	struct pprof_profile *p = server();

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pprof_profile *q = filtered(p, &cases[i]);

		for (size_t k = 0; k < q->nfunctions; k++) {
			const char *name = q->strings[q->functions[k].name];

			if (strstr(name, "task_switch") || strstr(name, "runtimex") ||
			    strstr(name, "memcpy"))
				fail_msg("case %zu: %s", i, name);
		}
		assert_true(q->nlocations > 0);
		pprof_profile_free(q);
	}
	pprof_profile_free(p);
}

/* The sum that a tag filter keeps of samples with 1, 2 and 4, which have labels. */
static int64_t kept(const struct pprof_profile *p, const char *tag)
{
	struct pprof_filter_options o = {.size = sizeof o, .tag_focus = tag};
	struct pprof_profile *q = filtered(p, &o);
	int64_t sum = pprof_total(q, 0);

	pprof_profile_free(q);
	return sum;
}

TEST(tags_choose_samples)
{
	static const struct {
		const char *tag;
		int64_t want;
	} cases[] = {
		{"endpoint=/api", 3},
		{"endpoint=static,pi$", 7},
		{"endpoint=^static", 0},
		{"point:/s", 4},
		{"endpoint,api", 3},
		{"api,static", 0},
		{"other=.", 0},
		{"32kb", 1},
		{"32768b", 1},
		{"bytes=32kb", 1},
		{"other=32kb", 0},
		{"1kb:", 1},
		{":0b", 2},
		{"-16b:32kb", 3},
		{"-15b:31kb", 0},
		{"-16b", 2},
		{"1kb:1mb", 1},
		{"bytes=-20b:", 3},
		{"1:", 0},
		{"5s:", 0},
	};
	struct pprof_filter_options ignore = {.size = sizeof ignore, .tag_ignore = "endpoint=."};
	struct pprof_profile *p = server(), *q;

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t sum = kept(p, cases[i].tag);

		if (sum != cases[i].want)
			fail_msg("%s: %d", cases[i].tag, (int)sum);
	}
	q = filtered(p, &ignore);
	assert_int_equal(pprof_total(q, 0), 8 + 16 + 32 + 64);
	pprof_profile_free(q);
	pprof_profile_free(p);
}

/* A number is compared in its own unit, whatever others of its key have. */
TEST(ranges_know_each_unit)
{
	static const struct {
		const char *tag;
		int64_t want;
	} cases[] = {{"lat=1ms:", 3}, {"lat=:1s", 3}, {"lat=2s:", 0}, {"lat=2ms:", 2}};
	struct pprof_profile *p = t_new();
	uint32_t loc;
	struct pprof_label l[] = {number_label(p, "lat", 1500000, "nanoseconds"),
				  number_label(p, "lat", 2, "milliseconds")};

	t_types(p);
	loc = t_loc(p, PPROF_NONE, 1, "main.a", 1);
	t_add(p, &loc, 1, 1, &l[0], 1);
	t_add(p, &loc, 1, 2, &l[1], 1);
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int64_t sum = kept(p, cases[i].tag);

		if (sum != cases[i].want)
			fail_msg("%s: %d", cases[i].tag, (int)sum);
	}
	pprof_profile_free(p);
}

TEST(tags_are_shown_and_hidden)
{
	struct pprof_filter_options show = {.size = sizeof show, .tag_show = "^end"},
				    hide = {.size = sizeof hide, .tag_hide = "^end"};
	struct pprof_profile *p = server(), *q = filtered(p, &show);

	assert_int_equal(q->nlabels, 3);
	for (size_t i = 0; i < q->nlabels; i++)
		assert_string_equal(q->strings[q->labels[i].key], "endpoint");
	pprof_profile_free(q);
	q = filtered(p, &hide);
	assert_int_equal(q->nlabels, 2);
	pprof_profile_free(q);
	pprof_profile_free(p);
}

TEST(tags_become_frames)
{
	struct pprof_profile *p = server();

	leaves(p,
	       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					     .tag_root = "endpoint,bytes",
					     .focus = "^/api$"},
	       "/api;-16B;" API "main.grow[go.shape.struct { x/y.Z }];runtime.memclr 2\n"
	       "/api;32kB;" API ALLOC " 1\n");
	leaves(p,
	       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					     .tag_leaf = "endpoint",
					     .focus = "memcpy"},
	       "runtime.main;net/http.(*conn).serve;memcpy;/static 4\n");
	/* a value that looks like a function stays what it is */
	leaves(p,
	       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					     .tag_root = "endpoint",
					     .focus = "memcpy",
					     .granularity = PPROF_PACKAGE,
					     .runtime = PPROF_RUNTIME_HIDE},
	       "/static;net/http;[libc.so.6] 4\n");
	pprof_profile_free(p);
}

TEST(granularity_renames_frames)
{
	static const struct {
		enum pprof_granularity granularity;
		const char *want;
	} cases[] = {
		{PPROF_FILE_FUNCTION,
		 "runtime.main /go/runtime/proc.go;net/http.(*conn).serve /go/net/http/server.go;"
		 "main.handle /src/main.go;main.decode /src/main.go;"
		 "runtime.mallocgc /go/runtime/malloc.go;internal/runtime/sys.Len /go/sys/bits.go "
		 "1\n"},
		{PPROF_FILE, "/go/runtime/proc.go;/go/net/http/server.go;/src/main.go;/src/main.go;"
			     "/go/runtime/malloc.go;/go/sys/bits.go 1\n"},
		{PPROF_LINE, "runtime.main /go/runtime/proc.go:250;net/http.(*conn).serve "
			     "/go/net/http/server.go:1900;main.handle /src/main.go:20;"
			     "main.decode /src/main.go:7;runtime.mallocgc /go/runtime/malloc.go:99;"
			     "internal/runtime/sys.Len /go/sys/bits.go:4 1\n"},
		{PPROF_ADDRESS,
		 "0000000000401000 runtime.main /go/runtime/proc.go:250;"
		 "0000000000402000 net/http.(*conn).serve /go/net/http/server.go:1900;"
		 "0000000000403000 main.handle /src/main.go:20;"
		 "0000000000403000 main.decode /src/main.go:7;"
		 "0000000000404000 runtime.mallocgc /go/runtime/malloc.go:99;"
		 "0000000000404000 internal/runtime/sys.Len /go/sys/bits.go:4 1\n"},
		{PPROF_PACKAGE, "runtime;net/http;main;main;runtime;internal/runtime/sys 1\n"},
	};
	struct pprof_profile *p = server();

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		leaves(p,
		       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
						     .tag_focus = "32kb",
						     .granularity = cases[i].granularity},
		       cases[i].want);
	leaves(p,
	       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					     .ignore = "server.go",
					     .granularity = PPROF_PACKAGE},
	       "runtime;runtime;internal/runtime/sys 32\n"
	       "runtime;runtime;internal/runtime/sys;[kernel.kallsyms] 16\n"
	       "runtime;runtimex 64\n");
	leaves(p,
	       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					     .focus = "libc",
					     .granularity = PPROF_ADDRESS,
					     .show_from = "libc"},
	       "00007f0000001000 memcpy 4\n00007f0000002000 [libc.so.6] 8\n");
	leaves(p,
	       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					     .tag_focus = "32kb",
					     .no_inlines = true},
	       "runtime.main;net/http.(*conn).serve;main.handle;runtime.mallocgc 1\n");
	pprof_profile_free(p);
}

TEST(packages_are_cut_out_of_names)
{
	static const char *const cases[][2] = {
		{"main.main", "main"},
		{"main.(*T[go.shape.int]).M.func1", "main"},
		{"gopkg.in/yaml%2ev2.Unmarshal", "gopkg.in/yaml.v2"},
		{"example.com/a.b/c.F[example.com/d.E]", "example.com/a.b/c"},
		{"type:.eq.[2]interface {}", "type:"},
		{"crosscall2", "[server]"},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pprof_profile *p = t_new();
		uint32_t loc;
		char want[64];

		t_types(p);
		loc = t_loc(p, t_mapping(p, 0x400000, "/bin/server"), 0x401000, cases[i][0], 1);
		t_add(p, &loc, 1, 1, NULL, 0);
		snprintf(want, sizeof want, "%s 1\n", cases[i][1]);
		leaves(p,
		       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
						     .granularity = PPROF_PACKAGE},
		       want);
		pprof_profile_free(p);
	}
}

TEST(runtime_is_folded_and_hidden)
{
	struct pprof_profile *p = server();

	leaves(p,
	       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					     .runtime = PPROF_RUNTIME_FOLD},
	       "[runtime] 32\n"
	       "[runtime];finish_task_switch.isra.0 16\n"
	       "[runtime];net/http.(*conn).serve;[libc.so.6] 8\n"
	       "[runtime];net/http.(*conn).serve;main.handle;main.decode;[runtime] 1\n"
	       "[runtime];net/http.(*conn).serve;main.handle;main.decode;"
	       "main.grow[go.shape.struct { x/y.Z }];[runtime] 2\n"
	       "[runtime];net/http.(*conn).serve;memcpy 4\n"
	       "[runtime];runtimex.New 64\n");
	leaves(p,
	       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					     .runtime = PPROF_RUNTIME_HIDE},
	       "finish_task_switch.isra.0 16\n"
	       "net/http.(*conn).serve;[libc.so.6] 8\n"
	       "net/http.(*conn).serve;main.handle;main.decode 1\n"
	       "net/http.(*conn).serve;main.handle;main.decode;"
	       "main.grow[go.shape.struct { x/y.Z }] 2\n"
	       "net/http.(*conn).serve;memcpy 4\n"
	       "runtimex.New 64\n");
	pprof_profile_free(p);
}

/* Assembly that has no package in its name is known by its file. */
TEST(assembly_has_the_package_of_its_folder)
{
	static const struct {
		const char *name, *file, *package;
		bool runtime;
	} cases[] = {
		{"aeshashbody", "/usr/lib/go-1.19/src/runtime/asm_amd64.s", "runtime", true},
		{"memeqbody", "internal/bytealg/equal_amd64.s", "internal/bytealg", true},
		{"cmpbody", "/opt/src/go/src/internal/bytealg/compare_amd64.s", "internal/bytealg",
		 true},
		{"callRet", "runtime/asm_amd64.s", "runtime", true},
		{"memhashbody", "internal/runtime/maps/x.s", "internal/runtime/maps", true},
		{"p256MulInternal", "/go/src/crypto/internal/nistec/p256_amd64.s",
		 "crypto/internal/nistec", false},
		{"sum", "/root/go/pkg/mod/a.org/x/runtime@v1.2.0/fast/sum_amd64.s",
		 "a.org/x/runtime/fast", false},
		{"sum", "a.org/x@v1.2.0/sum_amd64.s", "a.org/x", false},
		{"sum", "/work/x/runtime/sum_amd64.s", "[server]", false},
		{"cmpbody", "/work/c/compare.c", "[server]", false},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pprof_profile *p = t_new();
		struct pprof_line l[1];
		char want[128];
		uint32_t body, caller, m;

		t_types(p);
		m = t_mapping(p, 0x400000, "/usr/bin/server");
		l[0] = (struct pprof_line){function_in(p, cases[i].name, cases[i].file), 1, 0};
		body = place(p, m, 0x401000, l, 1);
		l[0] = (struct pprof_line){function_in(p, "main.f", "/src/main.go"), 1, 0};
		caller = place(p, m, 0x402000, l, 1);
		t_add(p, (uint32_t[]){body, caller}, 2, 1, NULL, 0);
		snprintf(want, sizeof want, "main;%s 1\n", cases[i].package);
		leaves(p,
		       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
						     .granularity = PPROF_PACKAGE},
		       want);
		snprintf(want, sizeof want, "main.f;%s 1\n",
			 cases[i].runtime ? "[runtime]" : cases[i].name);
		leaves(p,
		       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
						     .runtime = PPROF_RUNTIME_FOLD},
		       want);
		if (cases[i].runtime)
			leaves(p,
			       (struct pprof_filter_options){
				       .size = sizeof(struct pprof_filter_options),
				       .runtime = PPROF_RUNTIME_HIDE},
			       "main.f 1\n");
		pprof_profile_free(p);
	}
}

/* Folded frames join across places that hold other frames, too. */
TEST(runtime_joins_across_places)
{
	struct pprof_profile *p = t_new();
	struct pprof_line l[2];
	uint32_t mixed, pure;

	t_types(p);
	l[0] = (struct pprof_line){t_func(p, "main.callback"), 1, 0};
	l[1] = (struct pprof_line){t_func(p, "runtime.systemstack"), 2, 0};
	mixed = place(p, PPROF_NONE, 0x10, l, 2);
	pure = t_loc(p, PPROF_NONE, 0x20, "runtime.mcall", 3);
	t_add(p, (uint32_t[]){pure, mixed, pure, pure}, 4, 1, NULL, 0);
	t_add(p, (uint32_t[]){mixed, mixed}, 2, 2, NULL, 0);
	leaves(p,
	       (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					     .runtime = PPROF_RUNTIME_FOLD},
	       "[runtime];main.callback;[runtime] 1\n"
	       "[runtime];main.callback;[runtime];main.callback 2\n");
	pprof_profile_free(p);
}

/* --- go build -pgo --------------------------------------------------------------- */

/* Frames that are not Go's are taken off where the compiler looks; nothing is joined across C. */
TEST(pgo_sees_go_only)
{
	struct pprof_profile *p = server(), *q;
	struct pprof_label label = text_label(p, "endpoint", "/x");
	uint32_t c = t_loc(p, t_mapping(p, 0x7f0000000000, "/lib/libc.so.6"), 0x7f0000003000,
			   "qsort", 0);
	struct pprof_pgo facts = PPROF_SIZED(facts);
	struct pprof_diag diag;

	p->functions[p->lines[p->locations[c].first_line].function].filename = t_str(p, "qsort.c");
	/* a Go callback below C: root, serve; qsort; handle */
	t_add(p,
	      (uint32_t[]){pprof_sample_stack(p, 0)[1], c, pprof_sample_stack(p, 0)[2],
			   pprof_sample_stack(p, 0)[3]},
	      4, 128, &label, 1);
	t_add(p, &c, 1, 245, NULL, 0);
	assert_int_equal(pprof_pgo(p, &q, &facts, &diag), 0);
	leaves(q, (struct pprof_filter_options){sizeof(struct pprof_filter_options)},
	       "main.handle;main.decode 128\n"
	       "runtime.main;net/http.(*conn).serve 12\n" API
	       "main.grow[go.shape.struct { x/y.Z }];runtime.memclr 2\n" API ALLOC " 1\n"
	       "runtime.main;" ALLOC " 48\n"
	       "runtime.main;runtimex.New 64\n");
	assert_int_equal(q->nlabels, 0);
	assert_int_equal(q->nsample_types, 2);
	assert_int_equal((int)(facts.without_go * 500 + 0.5), 245);
	assert_int_equal((int)(facts.uncovered * 255 + 0.5), 4 + 8 + 16);
	pprof_profile_free(q);
	pprof_profile_free(p);
}

/* Profiles that the compiler would refuse, or make nothing of. */
TEST(pgo_is_checked)
{
	struct pprof_profile *p = t_new(), *q;
	struct pprof_function f = {.name = t_str(p, "main.f"), .filename = t_str(p, "main.go")};
	struct pprof_line line = {0};
	struct pprof_pgo facts = PPROF_SIZED(facts);
	struct pprof_diag diag;
	uint32_t loc;

	assert_int_equal(pprof_sample_type(p, "alloc_space", "bytes"), 0);
	assert_int_equal(pprof_pgo(p, &q, &facts, &diag), -EINVAL);
	assert_int_equal(pprof_sample_type(p, "cpu", "nanoseconds"), 0);
	assert_int_equal(pprof_pgo(p, &q, &facts, &diag), -ENODATA);
	assert_int_equal(pprof_function(p, &f, &line.function), 0);
	loc = place(p, PPROF_NONE, 1, &line, 1);
	assert_int_equal(pprof_sample_add(p, &loc, 1, (int64_t[]){1, 30}, NULL, 0), 0);
	assert_int_equal(pprof_pgo(p, &q, &facts, &diag), -ENOTSUP);
	f.start_line = 3;
	assert_int_equal(pprof_function(p, &f, &line.function), 0);
	loc = place(p, PPROF_NONE, 2, &line, 1);
	assert_int_equal(pprof_sample_add(p, &loc, 1, (int64_t[]){1, 10}, NULL, 0), 0);
	assert_int_equal(pprof_pgo(p, &q, &facts, &diag), 0);
	assert_int_equal((int)(facts.without_line * 100 + 0.5), 75);
	assert_int_equal(q->nsample_types, 1);
	assert_int_equal(pprof_total(q, 0), 40);
	pprof_profile_free(q);
	pprof_profile_free(p);
}

TEST(nothing_asked_is_nothing_changed)
{
	struct pprof_filter_options none = PPROF_SIZED(none);
	struct pprof_profile *p = t_rich(), *q = filtered(p, &none), *r = filtered(p, NULL);

	t_same(p, q);
	t_same(p, r);
	assert_int_equal(pprof_total(p, 1), pprof_total(q, 1));
	pprof_profile_free(p);
	pprof_profile_free(q);
	pprof_profile_free(r);
}

TEST(equal_samples_join_unless_apart)
{
	struct pprof_filter_options o = {.size = sizeof o, .show = "http", .tag_hide = "."};
	struct pprof_profile *p = server(), *q = filtered(p, &o);

	assert_int_equal(q->nsamples, 1);
	assert_int_equal(pprof_sample_values(q, 0)[0], 15);
	pprof_profile_free(q);
	o.apart = true;
	q = filtered(p, &o);
	assert_int_equal(q->nsamples, 4);
	pprof_profile_free(q);
	pprof_profile_free(p);
}

TEST(percentages_are_of_the_whole)
{
	struct pprof_filter_options f = {.size = sizeof f, .focus = "memcpy", .hide = "^runtime"};
	struct pprof_profile *p = server(), *q = filtered(p, &f);
	struct pprof_report_options o = {.size = sizeof o,
					 .sample_type = "samples",
					 .total = pprof_total(p, 0),
					 .filtered = &f};
	char *text = text_of(q, "top", &o);

	assert_string_equal(text,
			    "File: server\n"
			    "Build ID: c0ffee\n"
			    "Type: samples\n"
			    "Active filters:\n"
			    "   focus=memcpy\n"
			    "   hide=^runtime\n"
			    "Showing nodes accounting for 4, 3.15% of 127 total\n"
			    "      flat  flat%   sum%        cum   cum%\n"
			    "         4  3.15%  3.15%          4  3.15%  memcpy\n"
			    "         0     0%  3.15%          4  3.15%  net/http.(*conn).serve\n");
	free(text);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

TEST(options_without_a_match_are_reported)
{
	struct pprof_filter_options o = {.size = sizeof o,
					 .focus = "nothing",
					 .hide = "runtime",
					 .tag_show = "x",
					 .tag_root = "no",
					 .show_from = "zzz"};
	struct pprof_profile *p = server(), *q;
	struct pprof_diag d = {"left over"};

	assert_int_equal(pprof_filter(p, &o, &q, &d), 0);
	assert_string_equal(d.what, "matched nothing");
	assert_string_equal(d.detail, "focus, show_from, tagshow, tagroot");
	pprof_profile_free(q);
	o = (struct pprof_filter_options){.size = sizeof(struct pprof_filter_options),
					  .focus = "runtime"};
	assert_int_equal(pprof_filter(p, &o, &q, &d), 0);
	assert_null(d.what);
	pprof_profile_free(q);
	pprof_profile_free(p);
}

TEST(bad_expressions_are_refused)
{
	struct pprof_filter_options focus = {.size = sizeof focus, .focus = "main\\.(work"},
				    tag = {.size = sizeof tag, .tag_ignore = "k=a,b,[c"},
				    number = {.size = sizeof number,
					      .tag_focus = "k=99999999999999999999:"};
	struct pprof_profile *p = server(), *q = NULL;
	struct pprof_diag d = {0};

	assert_int_equal(pprof_filter(p, &focus, &q, &d), -EINVAL);
	assert_string_equal(d.what, "bad regular expression");
	assert_int_equal(d.at, 11);
	assert_memory_equal(d.detail, "focus: missing", 14);
	assert_int_equal(pprof_filter(p, &tag, &q, &d), -EINVAL);
	assert_memory_equal(d.detail, "tagignore: missing", 18);
	assert_int_equal(d.at, 8);
	assert_int_equal(pprof_filter(p, &number, &q, &d), -EINVAL);
	assert_string_equal(d.what, "the number is too large");
	assert_int_equal(pprof_filter(p, &focus, &q, NULL), -EINVAL);
	assert_null(q);
	assert_int_equal(pprof_pattern_check("a\\C", NULL), -EINVAL);
	assert_int_equal(pprof_pattern_check("(?i)caf\xc3\xa9$", NULL), 0);
	pprof_profile_free(p);
}

/* An expression that needs exponential time on a fitting name. */
TEST(no_expression_can_hang)
{
	struct pprof_filter_options o = {.size = sizeof o, .focus = "^(a+)+$|(.*.*.*.*.*)*x$"};
	struct pprof_profile *p = t_new(), *q = NULL;
	char name[100001];
	struct pprof_diag d = {0};
	uint32_t loc;

	t_types(p);
	memset(name, 'a', sizeof name - 1);
	strcpy(name + 99998, "b!");
	loc = t_loc(p, PPROF_NONE, 1, name, 1);
	t_add(p, &loc, 1, 1, NULL, 0);
	assert_int_equal(pprof_filter(p, &o, &q, &d), -EINVAL);
	assert_non_null(strstr(d.what, "takes too long"));
	assert_string_equal(d.detail, "focus");
	pprof_profile_free(p);
}

/* $ is the end of all, classes are ASCII, and . is a character, as in Go. */
TEST(expressions_mean_what_they_mean_in_go)
{
	static const struct {
		const char *name, *pattern;
		bool matches;
	} cases[] = {
		{"f\n", "f$", false},
		{"f\n", "(?m)f$", true},
		{"\xd9\xa3", "\\d", false},
		{"\xc3\xa9", "^.$", true},
		{"\xc3\xa9", "\\w", false},
		{"a\nb", "a.b", false},
		{"a\nb", "(?s)a.b", true},
		{"a\rb", "a.b", true},
		{"\xce\xb1", "\\p{Greek}", true},
		{"Main.X", "(?i:MAIN)", true},
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct pprof_filter_options o = {.size = sizeof o, .focus = cases[i].pattern};
		struct pprof_profile *p = t_new(), *q;
		struct pprof_line line = {0};
		uint32_t loc;

		t_types(p);
		line.function = function_in(p, cases[i].name, "");
		loc = place(p, PPROF_NONE, 1, &line, 1);
		t_add(p, &loc, 1, 1, NULL, 0);
		q = filtered(p, &o);
		if ((q->nsamples == 1) != cases[i].matches)
			fail_msg("case %d", (int)i);
		pprof_profile_free(p);
		pprof_profile_free(q);
	}
}

#define CONTROL "<b>&\x1b]0;x\x07\n\r\t;\x7f\xc2\x9b\xff\xc3\xa9"
#define SHOWN   "<b>&?]0"

/* No control character, no broken UTF-8; each name in one line. */
static void check_safe(const char *text)
{
	for (const char *c = text; *c; c++)
		if (((unsigned char)*c < 0x20 && *c != '\n') || *c == 0x7f)
			fail_msg("control character %d in %s", *c, text);
	assert_true(!strstr(text, "\xc2\x9b") && !strstr(text, "\xff"));
	assert_true(strstr(text, SHOWN) != NULL);
}

TEST(hostile_names_are_safe_everywhere)
{
	static const char *const formats[] = {"top", "tree", "peek", "traces", "folded"};
	struct pprof_filter_options f = {.size = sizeof f, .tag_root = CONTROL, .unit = CONTROL};
	struct pprof_profile *p = t_new();
	struct pprof_label labels[2];
	struct pprof_line line = {0};
	struct pprof_mapping m = {.start = 1, .limit = 99};
	char *huge = malloc(100001);
	uint32_t stack[3], mapping;

	memset(huge, '<', 100000);
	huge[100000] = '\0';
	assert_int_equal(pprof_sample_type(p, CONTROL, CONTROL), 0);
	m.filename = m.build_id = t_str(p, "/" CONTROL);
	assert_int_equal(pprof_mapping(p, &m, &mapping), 0);
	line.function = function_in(p, CONTROL, CONTROL);
	line.line = 5;
	stack[0] = place(p, mapping, 5, &line, 1);
	stack[1] = place(p, mapping, 6, NULL, 0);
	line.function = function_in(p, huge, huge);
	stack[2] = place(p, mapping, 7, &line, 1);
	labels[0] = text_label(p, CONTROL, CONTROL);
	labels[1] = number_label(p, CONTROL, 7, CONTROL);
	assert_int_equal(pprof_sample_add(p, stack, 3, (int64_t[]){7}, labels, 2), 0);
	assert_int_equal(pprof_comment(p, CONTROL), 0);
	p->doc_url = t_str(p, CONTROL);
	for (int g = PPROF_FUNCTION; g <= PPROF_PACKAGE; g++) {
		struct pprof_report_options o = {.size = sizeof o, .filtered = &f};
		struct pprof_profile *q;

		f.granularity = (enum pprof_granularity)g;
		f.focus = "<|\x1b\x07\n\xc2\x9b";
		q = filtered(p, &f);
		for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
			char *text = text_of(q, formats[i], &o);

			check_safe(text);
			free(text);
		}
		pprof_profile_free(q);
	}
	free(huge);
	pprof_profile_free(p);
}
