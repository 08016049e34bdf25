/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of prowl top's table: rows in order, cursor, open rows, filter, freezing. Knows keys
 * and lines of text, but no terminal, session or clock.
 *
 * One thread. Without memory the table stays as it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "figures.h"
#include "pprof.h"
#include "pprof_report.h"
#include "top_text.h"

/* The first lines: about the process and the samples behind the table. */
struct top_facts {
	char who[256]; /* "etcd (pid 19352, go1.19.8)" */
	unsigned int rate;
	uint64_t span_ns;   /* in which the samples were taken */
	double cpu_percent; /* of one core */
	uint64_t samples;
	double lost, truncated, unknown; /* per cent of them */
	double own_percent;              /* what prowl itself uses, of one core */
	uint64_t own_bytes;
	bool has_figures;
	uint64_t figures_age_ns;
	struct prowl_figures figures;
	char why_no_figures[64];
};

struct top_view { /* one of the tables */
	struct top_facts facts;
	struct pprof_functions *functions; /* owned by the model once given to it */
};

enum top_sort { TOP_BY_FLAT, TOP_BY_CUM, TOP_BY_NAME, TOP_SORTS };

/* Keys are characters, and these. */
enum top_key {
	TOP_KEY_NONE = 0,
	TOP_KEY_ENTER = '\n',
	TOP_KEY_ESCAPE = 27,
	TOP_KEY_BACKSPACE = 127,
	TOP_KEY_UP = 0x200000, /* beyond all characters */
	TOP_KEY_DOWN,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_HOME,
	TOP_KEY_END,
};

/* An action for the caller after a key, in addition to drawing. */
enum top_action { TOP_NOTHING, TOP_QUIT, TOP_WRITE, TOP_REPAINT, TOP_UPDATE };

struct top_model;

int top_model_new(enum top_sort sort, struct top_model **ret);
void top_model_free(struct top_model *m);

/*
 * Takes new tables, of the last seconds and since the start; they are shown unless frozen. The
 * second one may be empty (functions NULL) unless top_model_wants_all.
 */
bool top_model_wants_all(const struct top_model *m);
void top_model_update(struct top_model *m, const struct top_view *recent,
		      const struct top_view *all);
enum top_action top_model_key(struct top_model *m, int key);
/* A line for the user, until the next key. NULL: none. Foreign text is allowed. */
void top_model_message(struct top_model *m, const char *text);
/* No more windows will come; the text is shown until the end. */
void top_model_over(struct top_model *m, const char *why);

enum top_style {
	TOP_PLAIN,
	TOP_TITLE,
	TOP_WARNING, /* a figure that is a problem */
	TOP_HEADS,   /* of the columns */
	TOP_CHOSEN,  /* the row of the cursor; it starts with '>' */
	TOP_DETAIL,  /* callers and callees */
	TOP_STATUS,
};

/* Lines that fit `rows` x `cols`, from the top; each is at most `cols` columns wide. */
typedef void (*top_put)(void *ctx, int row, enum top_style style, const char *text);
void top_model_draw(struct top_model *m, int rows, int cols, top_put put, void *ctx);

/* The whole table as plain lines that are not cut, the first n rows of it: for --once. */
void top_model_print(struct top_model *m, size_t n, top_put put, void *ctx);

/* The functions as they are shown, for --json. */
const struct top_view *top_model_view(const struct top_model *m);
size_t top_model_rows(const struct top_model *m, const uint32_t **ret_rows);
