/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that the decoder must refuse, and others that it must accept, made byte by byte. */
#include "testing.h"
#include "unit_test.h"

#include <errno.h>
#include <zlib.h>

struct msg {
	uint8_t bytes[4096];
	size_t len;
};

static void varint(struct msg *m, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		m->bytes[m->len++] = v | 0x80;
	m->bytes[m->len++] = v;
}

static void num(struct msg *m, unsigned field, uint64_t v)
{
	varint(m, field << 3);
	varint(m, v);
}

static void bytes(struct msg *m, unsigned field, const void *b, size_t len)
{
	varint(m, field << 3 | 2);
	varint(m, len);
	memcpy(m->bytes + m->len, b, len);
	m->len += len;
}

static void sub(struct msg *m, unsigned field, const struct msg *s)
{
	bytes(m, field, s->bytes, s->len);
}

static void strings(struct msg *m)
{
	static const char *const words[] = {"", "samples", "count", "main.main", "key", "value"};

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		bytes(m, 6, words[i], strlen(words[i]));
}

static void sample_type(struct msg *m, uint64_t type)
{
	struct msg s = {.len = 0};

	num(&s, 1, type);
	num(&s, 2, 2);
	sub(m, 1, &s);
}

static void mapping(struct msg *m, uint64_t id)
{
	struct msg s = {.len = 0};

	num(&s, 1, id);
	num(&s, 2, 0x1000 * id);
	sub(m, 3, &s);
}

static void function(struct msg *m, uint64_t id, uint64_t name)
{
	struct msg s = {.len = 0};

	num(&s, 1, id);
	num(&s, 2, name);
	sub(m, 5, &s);
}

static void location(struct msg *m, uint64_t id, uint64_t mapping_id, uint64_t function_id)
{
	struct msg s = {.len = 0}, line = {.len = 0};

	num(&s, 1, id);
	num(&s, 2, mapping_id);
	num(&s, 3, 0x1000 + id);
	num(&line, 1, function_id);
	num(&line, 2, 7);
	sub(&s, 4, &line);
	sub(m, 4, &s);
}

/* Unpacked scalars: both forms must be understood, and our own encoder packs. */
static void sample(struct msg *m, uint64_t location_id, size_t nvalues)
{
	struct msg s = {.len = 0};

	num(&s, 1, location_id);
	for (size_t i = 0; i < nvalues; i++)
		num(&s, 2, 5);
	sub(m, 2, &s);
}

static void label(struct msg *m, uint64_t key, uint64_t str, uint64_t unit)
{
	struct msg s = {.len = 0}, l = {.len = 0};

	num(&l, 1, key);
	num(&l, 2, str);
	num(&l, 4, unit);
	num(&s, 1, 1);
	num(&s, 2, 1);
	sub(&s, 3, &l);
	sub(m, 2, &s);
}

/* A valid profile; each test adds its fault. */
static struct msg base(void)
{
	struct msg m = {.len = 0};

	sample_type(&m, 1);
	sample(&m, 1, 1);
	mapping(&m, 1);
	location(&m, 1, 1, 1);
	function(&m, 1, 3);
	strings(&m);
	num(&m, 9, 1234);
	return m;
}

static void refused(const struct msg *m, const char *what)
{
	struct pprof_profile *p = NULL;
	struct pprof_diag d = {0};

	assert_int_equal(pprof_decode(m->bytes, m->len, 0, &p, &d), -EBADMSG);
	assert_string_equal(d.what, what);
	assert_null(p);
	assert_int_equal(pprof_decode(m->bytes, m->len, 0, &p, NULL), -EBADMSG);
}

static struct pprof_profile *taken(const struct msg *m)
{
	return t_decode((struct t_bytes){(uint8_t *)m->bytes, m->len});
}

TEST(base_is_valid)
{
	struct msg m = base();
	struct pprof_profile *p = taken(&m);

	assert_int_equal(p->nsamples, 1);
	assert_int_equal(pprof_sample_values(p, 0)[0], 5);
	assert_int_equal(p->locations[pprof_sample_stack(p, 0)[0]].address, 0x1001);
	pprof_profile_free(p);
}

TEST(nothing_and_garbage_are_refused)
{
	struct msg m = {.len = 0};

	refused(&m, "empty input");
	memcpy(m.bytes, "heap \1 profile: 1", m.len = 17);
	refused(&m, "not a profile: field of another type");
	memset(m.bytes, 0, m.len = 100);
	refused(&m, "not a protobuf field");
	m.len = 0;
	num(&m, 9, 5);
	refused(&m, "no string table");
}

TEST(values_must_match_types)
{
	struct msg m = base(), none = {.len = 0};

	sample(&m, 1, 2);
	refused(&m, "sample with another number of values than sample types");
	m = base();
	sample(&m, 1, 0);
	refused(&m, "sample with another number of values than sample types");
	sample(&none, 1, 1);
	location(&none, 1, 0, 1);
	function(&none, 1, 3);
	strings(&none);
	refused(&none, "samples without a sample type");
}

TEST(references_must_exist)
{
	struct msg m = base();

	sample(&m, 2, 1);
	refused(&m, "sample at a location that does not exist");
	m = base();
	sample(&m, 0, 1);
	refused(&m, "sample at a location that does not exist");
	m = base();
	location(&m, 2, 1, 9);
	refused(&m, "line of a function that does not exist");
	m = base();
	location(&m, 2, 1, 0);
	refused(&m, "line of a function that does not exist");
}

TEST(ids_must_be_unique)
{
	struct msg m = base();

	mapping(&m, 0);
	refused(&m, "mapping with id 0");
	m = base();
	function(&m, 0, 3);
	refused(&m, "function with id 0");
	m = base();
	location(&m, 0, 1, 1);
	refused(&m, "location with id 0");
	m = base();
	mapping(&m, 1);
	refused(&m, "two mappings with one id");
	m = base();
	function(&m, 1, 4);
	refused(&m, "two functions with one id");
	m = base();
	location(&m, 1, 1, 1);
	refused(&m, "two locations with one id");
}

TEST(strings_must_exist)
{
	struct msg m = base(), first = {.len = 0};

	function(&m, 2, 6);
	refused(&m, "string index out of range");
	m = base();
	function(&m, 2, (uint64_t)-1);
	refused(&m, "string index out of range");
	m = base();
	label(&m, 4, 77, 0);
	refused(&m, "string index out of range");
	m = base();
	num(&m, 13, 99);
	refused(&m, "string index out of range");
	bytes(&first, 6, "x", 1);
	refused(&first, "the first string is not empty");
}

TEST(joined_profiles_are_refused)
{
	struct msg m = base(), b = base();

	memcpy(m.bytes + m.len, b.bytes, b.len);
	m.len += b.len;
	refused(&m, "concatenated profiles");
	/* Also without a time that comes twice: one byte of tag and two of value at the end. */
	m = base();
	b.len = m.len -= 3;
	memcpy(m.bytes + m.len, b.bytes, b.len);
	m.len += b.len;
	refused(&m, "concatenated profiles");
}

TEST(dangling_mapping_is_unknown)
{
	struct msg m = base();
	struct pprof_profile *p;

	location(&m, 2, 55, 1);
	p = taken(&m);
	assert_int_equal(p->locations[1].mapping, PPROF_NONE);
	assert_int_equal(p->locations[1].address, 0x1002);
	pprof_profile_free(p);
}

TEST(ids_may_be_any_numbers)
{
	struct msg m = base();
	struct pprof_profile *p;

	mapping(&m, UINT64_MAX);
	function(&m, 1ull << 40, 4);
	location(&m, 1ull << 63, UINT64_MAX, 1ull << 40);
	sample(&m, 1ull << 63, 1);
	p = taken(&m);
	assert_int_equal(p->nsamples, 2);
	assert_int_equal(p->locations[pprof_sample_stack(p, 1)[0]].address, 0x1000 + (1ull << 63));
	assert_string_equal(p->strings[p->functions[1].name], "key");
	pprof_profile_free(p);
}

TEST(labels_are_read)
{
	struct msg m = base();
	struct pprof_profile *p;

	label(&m, 4, 5, 0);
	label(&m, 4, 0, 2);
	label(&m, 4, 0, 0);
	p = taken(&m);
	assert_int_equal(p->samples[1].nlabels, 1);
	assert_string_equal(p->strings[pprof_sample_labels(p, 1)->str], "value");
	assert_string_equal(p->strings[pprof_sample_labels(p, 2)->unit], "count");
	assert_int_equal(p->samples[3].nlabels, 0);
	pprof_profile_free(p);
}

/* --- gzip --------------------------------------------------------------------------------------
 */

TEST(gzip_must_be_one_whole_member)
{
	struct pprof_profile *p = t_rich();
	struct t_bytes b = t_encode(p, 6);
	struct msg m;

	memcpy(m.bytes, b.bytes, b.len);
	for (m.len = 3; m.len < b.len; m.len++)
		refused(&m, "truncated gzip data");
	m.bytes[m.len++] = 'x';
	refused(&m, "bytes after the gzip data");
	memcpy(m.bytes + b.len, b.bytes, b.len);
	m.len = 2 * b.len;
	refused(&m, "more than one gzip member: concatenated profiles");
	m.len = b.len;
	m.bytes[m.len - 5] ^= 1; /* in the checksum */
	refused(&m, "damaged gzip data");
	free(b.bytes);
	pprof_profile_free(p);
}

TEST(bombs_are_bounded)
{
	size_t size = 64 << 20;
	uLongf packed = compressBound(size);
	uint8_t *zeros = calloc(1, size), *out = malloc(packed);
	struct pprof_profile *p;
	struct pprof_diag d;
	z_stream z = {0};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = zeros;
	z.avail_in = size;
	z.next_out = out;
	z.avail_out = packed;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(pprof_decode(out, z.total_out, 1 << 20, &p, &d), -EFBIG);
	assert_int_equal(d.at, 1 << 20);
	assert_int_equal(pprof_decode(out, z.total_out, size - 1, &p, &d), -EFBIG);
	assert_int_equal(pprof_decode(out, z.total_out, size, &p, &d), -EBADMSG);
	assert_int_equal(pprof_decode(zeros, size, 1 << 20, &p, &d), -EFBIG);
	deflateEnd(&z);
	free(zeros);
	free(out);
}

TEST(limit_is_exact)
{
	struct pprof_profile *p = t_rich(), *q;
	struct t_bytes raw = t_encode(p, PPROF_LEVEL_RAW), gz = t_encode(p, 1);

	assert_int_equal(pprof_decode(raw.bytes, raw.len, raw.len - 1, &q, NULL), -EFBIG);
	assert_int_equal(pprof_decode(gz.bytes, gz.len, raw.len - 1, &q, NULL), -EFBIG);
	assert_int_equal(pprof_decode(gz.bytes, gz.len, raw.len, &q, NULL), 0);
	t_same(p, q);
	free(raw.bytes);
	free(gz.bytes);
	pprof_profile_free(p);
	pprof_profile_free(q);
}

/*
 * A file of some kilobytes that asks for as many gigabytes is refused, whatever its many elements
 * are.
 */
static void repeated_is_refused(const char *unit, size_t len)
{
	static const uint8_t head[] = {0x0a, 4, 8, 1, 16, 1, 0x32, 0, 0x32, 1, 'a'};
	const size_t n = (60 << 20) / len;
	uint8_t *plain = malloc(sizeof head + n * len), *packed = malloc(1 << 20);
	z_stream z = {.next_in = plain, .next_out = packed, .avail_out = 1 << 20};
	struct pprof_profile *p;

	assert_non_null(plain);
	assert_non_null(packed);
	memcpy(plain, head, sizeof head);
	for (size_t i = 0; i < n; i++)
		memcpy(plain + sizeof head + i * len, unit, len);
	z.avail_in = (uInt)(sizeof head + n * len);
	assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(pprof_decode(packed, z.total_out, 0, &p, NULL), -EFBIG);
	deflateEnd(&z);
	free(plain);
	free(packed);
}

TEST(small_files_stay_small)
{
	repeated_is_refused("\x32\0", 2);               /* strings */
	repeated_is_refused("\x12\x03\x12\x01\x01", 5); /* samples */
}

/* --- damage ------------------------------------------------------------------------------------
 */

static void survives(const uint8_t *b, size_t len)
{
	uint8_t *exact = malloc(
		len ? len : 1); /* the exact size, so that a sanitizer sees reads beyond it */
	struct pprof_profile *p = NULL;

	memcpy(exact, b, len);
	if (pprof_decode(exact, len, 1 << 20, &p, NULL) == 0)
		t_same(p, p);
	free(exact);
	pprof_profile_free(p);
}

TEST(damage_never_crashes)
{
	struct pprof_profile *p = t_rich();

	for (int level = PPROF_LEVEL_RAW; level <= 1; level += 2) {
		struct t_bytes b = t_encode(p, level);

		for (size_t len = 0; len < b.len; len++)
			survives(b.bytes, len);
		for (size_t bit = 0; bit < 8 * b.len; bit++) {
			b.bytes[bit / 8] ^= 1 << bit % 8;
			survives(b.bytes, b.len);
			b.bytes[bit / 8] ^= 1 << bit % 8;
		}
		free(b.bytes);
	}
	pprof_profile_free(p);
}

/* --- something else -------------------------------------------------------------- */

static size_t gzip_of(const void *in, size_t n, uint8_t *out, size_t room)
{
	z_stream z = {.next_in = (uint8_t *)in,
		      .avail_in = (uInt)n,
		      .next_out = out,
		      .avail_out = (uInt)room};

	assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

#define WHOLE(text) text, sizeof(text) - 1

/* Files that people pass by mistake are identified, also inside of gzip. */
TEST(other_files_are_named)
{
	static const struct {
		const char *bytes;
		size_t len;
		const char *named;
	} files[] = {
		{WHOLE("heap profile: 1: 1024 [2: 2048] @ heap/1048576\n1: 1024 @ 0x401000\n"),
		 "heap profile (debug=1)"},
		{WHOLE("--- mutex:\ncycles/second=2400000000\nsampling period=1\n"),
		 "mutex profile (debug=1)"},
		{WHOLE("--- contention:\ncycles/second=2400000000\n"), "block profile (debug=1)"},
		{WHOLE("goroutine profile: total 1\n1 @ 0x401000\n"),
		 "goroutine profile (debug=1)"},
		{WHOLE("threadcreate profile: total 7\n"), "threadcreate profile (debug=1)"},
		{WHOLE("goroutine 1 [running]:\nmain.main()\n"), "debug=2"},
		{WHOLE("404 page not found\n"), "404"},
		{WHOLE("could not enable CPU profiling: cpu profiling already in use\n"),
		 "another CPU profile"},
		{WHOLE("Unknown profile\n"), "no such profile"},
		{WHOLE("<!DOCTYPE html><html>502</html>"), "HTML"},
		{WHOLE("\n <?xml version=\"1.0\"?><svg></svg>"), "SVG"},
		{WHOLE("main;a 30\nmain;b 70\n"), "folded"},
		{WHOLE("go 1.22 trace\0\0\0x"), "go tool trace"},
		{WHOLE("PERFILE2xxxxxxxxxxxxxxxx"), "perf.data"},
		{WHOLE("mode: set\nx.go:1.1,2.2 1 1\n"), "coverage"},
		{WHOLE("GO PREPROFILE V1\nmain.a\n"), "PGO"},
		{WHOLE("{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\"}"),
		 "speedscope"},
		{WHOLE("{\"schema_version\": 1,\n"), "report as JSON"},
		{WHOLE("{\"traceEvents\":[]}"), "trace of events"},
		{WHOLE("[1, 2]"), "JSON"},
		{WHOLE("File: etcd\nType: cpu\nShowing nodes\n"), "report as text"},
		{WHOLE("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), "Git LFS"},
		{WHOLE("\x7f"
		       "ELF\2\1\1\0\0\0\0\0\0\0\0\0\3\0"),
		 "a program (ELF)"},
		{WHOLE("\x7f"
		       "ELF\2\1\1\0\0\0\0\0\0\0\0\0\4\0"),
		 "core file"},
		{WHOLE("\x28\xb5\x2f\xfd\x04\x00\x01\x00\x00"), "zstd"},
		{WHOLE("\xfd"
		       "7zXZ\0"),
		 "xz"},
		{WHOLE("BZh9"), "bzip2"},
		{WHOLE("PK\3\4"), "zip"},
		{WHOLE("what is this?\n"), "it is text"},
	};

	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		for (int packed = 0; packed < 2; packed++) {
			uint8_t gz[512];
			struct pprof_diag d = {0};
			struct pprof_profile *p;
			size_t n = files[i].len;

			if (packed)
				n = gzip_of(files[i].bytes, n, gz, sizeof gz);
			assert_int_equal(pprof_decode(packed ? (const void *)gz : files[i].bytes, n,
						      0, &p, &d),
					 -EBADMSG);
			if (!strstr(d.what, files[i].named))
				fail_msg("%s: %s", files[i].named, d.what);
			assert_int_equal(d.at, 0);
		}
	}
}

/* A profile that is damaged is not taken for something else. */
TEST(a_damaged_profile_is_one)
{
	struct pprof_profile *p = t_rich(), *none;
	struct t_bytes b = t_encode(p, PPROF_LEVEL_RAW);
	struct pprof_diag d = {0};

	assert_int_equal(pprof_decode(b.bytes, b.len - 9, 0, &none, &d), -EBADMSG);
	assert_null(strstr(d.what, "it is"));
	free(b.bytes);
	pprof_profile_free(p);
}
