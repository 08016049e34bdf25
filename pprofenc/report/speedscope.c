/* SPDX-License-Identifier: Apache-2.0 */
/*
 * speedscope's own format. From a pprof file speedscope shows one kind of value, no inlined frames,
 * and all threads as one; this file has a profile for each kind of value and thread.
 *
 * A frame's line is the first line of its function, not the current one: speedscope compares all
 * fields of frames, so one function would become as many frames as it has lines.
 *
 * Samples are laid side by side, as wide as their weight. Where they have a time, the gaps between
 * them are filled with empty stacks, so the axis is time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "graph.h"
#include "jsonout.h"
#include "pprof_report.h"
#include "printable.h"
#include "tracks.h"
#include "processes.h"
#include "report_options.h"
#include "units.h"

enum { MIN_GAP = 2 }; /* in widths of the bar behind it */

struct speedscope {
	const struct pprof_profile *p;
	struct frames frames;
	struct tracks tracks;
	struct jsonout j;
	size_t type;          /* shown first */
	int64_t origin, span; /* of the time axis: Unix ns; length, 0 unknown */
	size_t written;       /* parts */
	size_t active;        /* number of the one to show */
};

/* One profile of the file: one kind of values of a track, those above or those below zero. */
struct part {
	const struct speedscope *x;
	const struct track *track;
	size_t type;
	bool below;
	bool timed; /* in nanoseconds, with times: gaps are shown */
};

/* A bar of the picture. */
struct bar {
	bool gap;
	uint32_t sample; /* no gap: its stack */
	uint64_t width;
};

struct bars { /* a walk over those of one part */
	const struct part *part;
	size_t at; /* in the track's items */
	uint64_t end;
};

/* --- bars ------------------------------------------------------------------------ */

/* The sum of the values of equal stacks from `at` on, as far as it has this part's sign. */
static uint64_t weigh(const struct part *part, size_t at, size_t *ret_next)
{
	const struct track_item *items = part->x->tracks.items + part->track->first;
	const struct pprof_profile *p = part->x->p;
	uint64_t sum = 0;

	do {
		sum += (uint64_t)pprof_sample_values(p, items[at].sample)[part->type];
		at++;
	} while (at < part->track->n && items[at].repeats);
	*ret_next = at;
	if (sum == 0 || ((int64_t)sum < 0) != part->below)
		return 0;
	return magnitude((int64_t)sum);
}

/*
 * The start of a sample's bar: after the bars before it, and at once where the gap is small. Timers
 * are never quite in time, and a thread that ran all the time must be one bar.
 */
static uint64_t begin_of(const struct bars *b, int64_t time, uint64_t width)
{
	int64_t origin = b->part->x->origin;
	uint64_t ends = time > origin ? (uint64_t)time - (uint64_t)origin : 0;
	uint64_t begins = ends > width ? ends - width : 0;

	return begins < b->end + MIN_GAP * width ? b->end : begins;
}

/* The picture of a thread lasts as long as that of the others. */
static bool last_gap(struct bars *b, struct bar *ret)
{
	uint64_t span = b->part->timed ? (uint64_t)b->part->x->span : 0;

	if (span <= b->end)
		return false;
	*ret = (struct bar){.gap = true, .width = span - b->end};
	b->end = span;
	return true;
}

static bool next_bar(struct bars *b, struct bar *ret)
{
	const struct track *track = b->part->track;

	while (b->at < track->n) {
		const struct track_item *it = &b->part->x->tracks.items[track->first + b->at];
		size_t next;
		uint64_t width = weigh(b->part, b->at, &next), begin = b->end;

		if (width && b->part->timed && it->time != TRACKS_NO_TIME)
			begin = begin_of(b, it->time, width);
		*ret = (struct bar){.gap = begin > b->end, .sample = it->sample, .width = width};
		if (ret->gap)
			ret->width = begin - b->end;
		else
			b->at = next;
		b->end += ret->width;
		if (ret->width)
			return true;
	}
	return last_gap(b, ret);
}

static uint64_t end_of(const struct part *part)
{
	struct bars b = {.part = part};
	struct bar bar;

	while (next_bar(&b, &bar))
		;
	return b.end;
}

static bool has_values(const struct part *part)
{
	for (size_t at = 0; at < part->track->n;)
		if (weigh(part, at, &at))
			return true;
	return false;
}

/* --- parts ----------------------------------------------------------------------- */

/* Times count from the beginning of the profile. */
static void find_axis(struct speedscope *x)
{
	int64_t first = TRACKS_NO_TIME;

	for (size_t i = 0; i < x->tracks.n; i++)
		if (x->tracks.items[x->tracks.track[i].first].time < first)
			first = x->tracks.items[x->tracks.track[i].first].time;
	x->origin = first;
	if (x->p->time_nanos > 0 && x->p->time_nanos <= first) {
		x->origin = x->p->time_nanos;
		x->span = x->p->duration_nanos > 0 ? x->p->duration_nanos : 0;
	}
}

static struct part part_of(const struct speedscope *x, size_t track, size_t type, bool below)
{
	const char *unit = x->p->strings[x->p->sample_types[type].unit];
	struct part part = {.x = x, .track = &x->tracks.track[track], .type = type, .below = below};

	part.timed = pp_units_nanoseconds(unit) == 1 &&
		     x->tracks.items[part.track->first].time != TRACKS_NO_TIME;
	return part;
}

static const char *unit_of(const struct pprof_profile *p, size_t type)
{
	const char *unit = p->strings[p->sample_types[type].unit];
	double ns = pp_units_nanoseconds(unit);

	if (ns == 1)
		return "nanoseconds";
	if (ns == 1e3)
		return "microseconds";
	if (ns == 1e6)
		return "milliseconds";
	if (ns == 1e9)
		return "seconds";
	return pp_units_bytes(unit) == 1 ? "bytes" : "none";
}

static void put_id(FILE *to, const char *word, const char *text, int64_t number)
{
	if (*text)
		fprintf(to, "%s %s", word, text);
	else if (number)
		fprintf(to, "%s %lld", word, (long long)number);
}

/* "cpu, etcd (pid 42), thread 43 (worker)", as far as known. */
static void put_name(FILE *to, const struct part *part)
{
	const struct pprof_profile *p = part->x->p;
	const struct track_id *id = &part->track->id;
	const char *comm = p->strings[id->comm], *name = p->strings[id->name];
	bool process = id->pid || id->pid_text, thread = id->tid || id->tid_text;

	fprintf(to, "%s%s", p->strings[p->sample_types[part->type].type],
		part->below ? ", negative" : "");
	if (process || *comm)
		fprintf(to, ", %s%s", comm, process && *comm ? " (" : "");
	put_id(to, "pid", p->strings[id->pid_text], id->pid);
	fputs(process && *comm ? ")" : "", to);
	if (thread || *name)
		fputs(", ", to);
	put_id(to, "thread", p->strings[id->tid_text], id->tid);
	fprintf(to, thread && *name ? " (%s)" : "%s", name);
	if (!process && !*comm && !thread && !*name && part->x->tracks.n > 1)
		fputs(", no thread", to);
}

static int name_of(const struct part *part, char **ret)
{
	size_t len;
	FILE *to = open_memstream(ret, &len);

	if (!to)
		return -ENOMEM;
	put_name(to, part);
	if (fclose(to) != 0) {
		free(*ret);
		return -ENOMEM;
	}
	return 0;
}

static void write_stack(struct jsonout *j, const struct frames *f, const struct bar *bar)
{
	struct frame_walk w = {0};
	uint32_t frame;

	pp_json_open(j, NULL, '[');
	if (!bar->gap)
		w = pp_frames_walk(f, bar->sample);
	while (!bar->gap && pp_frames_next(&w, &frame))
		pp_json_number(j, NULL, frame);
	pp_json_close(j, ']');
}

static int write_part(struct speedscope *x, const struct part *part)
{
	struct bars b = {.part = part}, again = b;
	struct jsonout *j = &x->j;
	struct bar bar;
	char *name;
	int r = name_of(part, &name);

	if (r < 0)
		return r;
	pp_json_line(j);
	pp_json_open(j, NULL, '{');
	pp_json_text(j, "type", "sampled");
	pp_json_text(j, "name", name);
	pp_json_text(j, "unit", unit_of(x->p, part->type));
	pp_json_number(j, "startValue", 0);
	pp_json_unsigned(j, "endValue", end_of(part));
	pp_json_open(j, "samples", '[');
	while (next_bar(&b, &bar))
		write_stack(j, &x->frames, &bar);
	pp_json_close(j, ']');
	pp_json_open(j, "weights", '[');
	while (next_bar(&again, &bar))
		pp_json_unsigned(j, NULL, bar.width);
	pp_json_close(j, ']');
	pp_json_close(j, '}');
	free(name);
	x->written++;
	return 0;
}

static int write_type(struct speedscope *x, size_t type)
{
	int r = 0;

	if (type == x->type)
		x->active = x->written;
	for (size_t i = 0; r == 0 && i < x->tracks.n; i++) {
		for (int below = 0; r == 0 && below < 2; below++) {
			struct part part = part_of(x, i, type, below);

			if (has_values(&part))
				r = write_part(x, &part);
		}
	}
	return r;
}

static int write_parts(struct speedscope *x, bool all)
{
	struct track none = {0};
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->p->nsample_types; i++)
		if (all || i == x->type)
			r = write_type(x, i);
	/* speedscope fails where there is none. */
	if (r == 0 && x->written == 0)
		r = write_part(x, &(struct part){.x = x, .track = &none, .type = x->type});
	return r;
}

/* --- the file -------------------------------------------------------------------- */

static int write_frames(struct speedscope *x)
{
	const char **strings = x->p->strings;
	struct jsonout *j = &x->j;

	for (size_t i = 0; i < x->frames.n; i++) {
		const struct frame *f = &x->frames.frame[i];
		char *object = f->object ? pp_object_name(strings[f->name]) : NULL;

		if (f->object && !object)
			return -ENOMEM;
		pp_json_line(j);
		pp_json_open(j, NULL, '{');
		pp_json_text(j, "name", object ? object : strings[f->name]);
		if (f->file)
			pp_json_text(j, "file", strings[f->file]);
		if (f->line > 0)
			pp_json_number(j, "line", f->line);
		pp_json_close(j, '}');
		free(object);
	}
	return 0;
}

static int write_file(struct speedscope *x, bool all)
{
	struct jsonout *j = &x->j;
	char *title = pp_title(x->p);
	int r;

	if (!title)
		return -ENOMEM;
	pp_json_open(j, NULL, '{');
	pp_json_text(j, "$schema", "https://www.speedscope.app/file-format-schema.json");
	pp_json_text(j, "exporter", "libpprofenc@" PROWL_VERSION);
	pp_json_text(j, "name", title);
	free(title);
	pp_json_open(j, "shared", '{');
	pp_json_open(j, "frames", '[');
	r = write_frames(x);
	pp_json_close(j, ']');
	pp_json_close(j, '}');
	pp_json_open(j, "profiles", '[');
	if (r == 0)
		r = write_parts(x, all);
	pp_json_close(j, ']');
	pp_json_unsigned(j, "activeProfileIndex", x->active < x->written ? x->active : 0);
	pp_json_close(j, '}');
	putc('\n', j->to);
	return r;
}

int pprof_report_speedscope(const struct pprof_profile *p,
			    const struct pprof_report_options *options, FILE *to)
{
	struct speedscope x = {.p = p, .j.to = to};
	struct report_options o;
	bool all;
	int r = pp_report_options(&o, options);

	if (r == 0)
		r = pprof_find_sample_type(p, o.o.sample_type, &x.type);
	if (r < 0)
		return r;
	all = !o.o.sample_type || !*o.o.sample_type;
	r = pp_frames_init(&x.frames, p, all ? FRAMES_ALL : x.type);
	if (r < 0)
		return r;
	r = pp_tracks_init(&x.tracks, &x.frames, x.type);
	if (r == 0) {
		find_axis(&x);
		r = write_file(&x, all);
	}
	if (r == 0 && ferror(to))
		r = -EIO;
	pp_tracks_fini(&x.tracks);
	pp_frames_fini(&x.frames);
	return r;
}
