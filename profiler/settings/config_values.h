/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of the configuration, as people write them, and the table of keys that have one value:
 * defaults, the file, the environment, flags and the manual agree through it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Durations "10s", "1h30m", "250ms", "30d" in nanoseconds; sizes "64MiB", "2GB", "512" in bytes;
 * shares "1%" as 0.01. False: it is none. */
bool config_time(const char *text, uint64_t *ret);
bool config_size(const char *text, uint64_t *ret);
bool config_share(const char *text, double *ret);
bool config_bool(const char *text, bool *ret);
bool config_number(const char *text, uint64_t min, uint64_t max, uint64_t *ret);

struct prowl_texts {
	const char **text;
	size_t n;
};

enum config_type {
	CONFIG_BOOL,
	CONFIG_NUMBER, /* unsigned int, from min to max */
	CONFIG_TIME,   /* uint64_t, likewise */
	CONFIG_SIZE,   /* uint64_t */
	CONFIG_SHARE,  /* double */
	CONFIG_TEXT,   /* const char * */
	CONFIG_TEXTS,  /* struct prowl_texts */
	CONFIG_WORD,   /* unsigned int: an index of words */
};

struct config_key {
	const char *name; /* "store.max_bytes" */
	enum config_type type;
	size_t at; /* in struct prowl_config */
	uint64_t min, max;
	const char *zero; /* a word that stands for 0: "auto", "none" */
	const char *const *words;
};

extern const struct config_key config_keys[];
extern const size_t config_nkeys;

/* "PROWL_STORE_MAX_BYTES". */
enum { CONFIG_VARIABLE = 64 };
void config_variable(const struct config_key *k, char ret[CONFIG_VARIABLE]);

struct prowl_config;

/*
 * Stores one value, but of CONFIG_TEXTS, which a text becomes the only one of. The text is kept as
 * it is. False: `why` says what is wanted ("wants a size such as 64MiB").
 */
bool config_store(const struct config_key *k, struct prowl_config *c, const char *text, char *why,
		  size_t len);
