/* SPDX-License-Identifier: Apache-2.0 */
/* Pyroscope's /ingest, for servers and proxies that don't know push.v1. */
#include "push_wire_parts.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pprof.h"

static void put_escaped(FILE *to, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (isalnum(c) || strchr("-_.~", c))
			fputc(c, to);
		else
			fprintf(to, "%%%02X", c);
	}
}

/* What would end a value, or the labels, becomes '_'. */
static void put_plain(FILE *to, const char *s)
{
	for (; *s; s++)
		fputc(strchr("{}=,", *s) || iscntrl((unsigned char)*s) ? '_' : *s, to);
}

/* "SERVICE{k=v,...}" */
static char *application(const struct push_labels *l)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	const char *comma = "";

	if (!to)
		return NULL;
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->labels[i].name, "service_name") == 0)
			put_plain(to, l->labels[i].value);
	}
	fputc('{', to);
	for (size_t i = 0; i < l->n; i++) {
		/* the server gives these itself */
		if (l->labels[i].name[0] == '_' || !strcmp(l->labels[i].name, "service_name"))
			continue;
		fprintf(to, "%s%s=", comma, l->labels[i].name);
		put_plain(to, l->labels[i].value);
		comma = ",";
	}
	fputc('}', to);
	if (fclose(to) == 0)
		return text;
	free(text);
	return NULL;
}

/* Samples a second, of a CPU profile; 0: no such rate. */
static unsigned int rate_of(const struct pprof_profile *p)
{
	if (strcmp(p->strings[p->period_type.unit], "nanoseconds") != 0 || p->period <= 0)
		return 0;
	return (unsigned int)((PUSH_SECOND + p->period / 2) / p->period);
}

static int make_url(const struct push_part *part, const struct push_labels *l,
		    struct push_request *r)
{
	char *name = application(l);
	size_t size;
	FILE *to = name ? open_memstream(&r->url, &size) : NULL;
	unsigned int rate = rate_of(part->profile);

	if (!to) {
		free(name);
		return -ENOMEM;
	}
	fprintf(to, "%s/ingest?name=", part->config->url);
	put_escaped(to, name);
	fprintf(to, "&from=%" PRIu64 "&until=%" PRIu64, part->meta->start_ns / PUSH_SECOND,
		part->meta->end_ns / PUSH_SECOND);
	if (rate)
		fprintf(to, "&sampleRate=%u", rate);
	fputs("&spyName=prowl&format=pprof", to);
	free(name);
	return fclose(to) == 0 ? 0 : -ENOMEM;
}

/* --- the body --------------------------------------------------------------------- */

/*
 * The server names a profile by its sample types, and takes each with contentions for one of
 * mutexes, unless it is told their names.
 */
static json_t *type_config(const struct push_part *part)
{
	const struct pprof_profile *p = part->profile;
	json_t *all = json_object();

	for (size_t i = 0; i < p->nsample_types; i++) {
		const char *type = p->strings[p->sample_types[i].type];
		const char *unit = p->strings[p->sample_types[i].unit];
		bool time = strcmp(unit, "nanoseconds") == 0;

		json_object_set_new(
			all, type,
			json_pack("{s:s, s:s}", "units", time ? "lock_nanoseconds" : "lock_samples",
				  "display-name", time ? "block_duration" : "block_count"));
	}
	return all;
}

static void put_field(FILE *to, const char *boundary, const char *name, const void *bytes,
		      size_t len)
{
	fprintf(to,
		"--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
		"Content-Type: application/octet-stream\r\n\r\n",
		boundary, name, name);
	fwrite(bytes, 1, len, to);
	fputs("\r\n", to);
}

static int make_form(const struct push_part *part, const uint8_t *profile, size_t len,
		     struct push_request *r)
{
	json_t *config = type_config(part);
	char *text = config ? json_dumps(config, JSON_COMPACT) : NULL, *body = NULL;
	FILE *to = text ? open_memstream(&body, &r->len) : NULL;
	char boundary[64];
	int done = -ENOMEM;

	/* No profile has these 128 bits in it by chance. */
	snprintf(boundary, sizeof boundary, "prowl-%s", part->id_text);
	if (to) {
		put_field(to, boundary, "profile", profile, len);
		put_field(to, boundary, "sample_type_config", text, strlen(text));
		fprintf(to, "--%s--\r\n", boundary);
		done = fclose(to) == 0 ? 0 : -ENOMEM;
	}
	r->body = (uint8_t *)body;
	snprintf(r->content_type, sizeof r->content_type, "multipart/form-data; boundary=%s",
		 boundary);
	free(text);
	json_decref(config);
	return done;
}

static int request(const struct push_part *part, struct push_request *ret)
{
	struct push_labels labels;
	uint8_t *profile = NULL;
	size_t len = 0;
	int r = push_part_pprof(part, &profile, &len, &ret->profile_bytes);

	if (r < 0)
		return r;
	r = push_labels_make(part, &labels);
	if (r == 0) {
		r = make_url(part, &labels, ret);
		ret->labels_omitted = labels.omitted;
		push_labels_fini(&labels);
	}
	if (r == 0 && strcmp(part->meta->kind, "block") == 0) {
		r = make_form(part, profile, len, ret);
	} else if (r == 0) {
		snprintf(ret->content_type, sizeof ret->content_type, "application/octet-stream");
		ret->body = profile;
		ret->len = len;
		return 0;
	}
	free(profile);
	return r;
}

static void judge(const struct push_answer *a, uint64_t real, struct push_verdict *v)
{
	push_judge_http(a, real, v);
	if (v->outcome == PUSH_TAKEN && push_content_is(a, "text/html")) {
		v->outcome = PUSH_PAUSE;
		push_verdict_say(v, "HTTP %u with a page: this is not Pyroscope's answer",
				 a->status);
	}
}

const struct push_protocol push_ingest = {request, judge};
