/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections: how many there are, how long they may take to say what they want, and whether their
 * clients are still there while an answer is made.
 */
#include "http_parts.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"

static void wake(struct http_server *s)
{
	if (s->keeper_fd >= 0)
		eventfd_write(s->keeper_fd, 1);
}

/* The library sees that and closes it. */
static void shut(struct http_kept *k)
{
	shutdown(k->fd, SHUT_RDWR);
	k->fd = -1;
}

static void drop_oldest(struct http_at *at)
{
	const struct http_server *s = at->server;
	struct http_kept *oldest = NULL;
	size_t n = 0;

	for (size_t i = 0; i < s->o.max_accepted; i++) {
		struct http_kept *k = &at->kept[i];

		if (!k->used || k->fd < 0)
			continue;
		n++;
		if (!k->held && (!oldest || k->active < oldest->active))
			oldest = k;
	}
	if (n > s->o.max_kept && oldest)
		shut(oldest);
}

static void *enter(struct http_at *at, int fd)
{
	struct http_server *s = at->server;

	for (size_t i = 0; i < s->o.max_accepted; i++) {
		struct http_kept *k = &at->kept[i];

		if (k->used)
			continue;
		*k = (struct http_kept){true, fd, ++s->happened,
					prowl_now() + s->o.first_ms * (uint64_t)1000000, NULL};
		return k;
	}
	return NULL;
}

void http_on_connection(void *ctx, struct MHD_Connection *c, void **state,
			enum MHD_ConnectionNotificationCode what)
{
	struct http_at *at = ctx;
	struct http_server *s = at->server;
	struct http_kept *k = *state;
	const union MHD_ConnectionInfo *info;

	pthread_mutex_lock(&s->lock);
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		if (k)
			k->used = false;
	} else {
		info = s->lib.connection(c, MHD_CONNECTION_INFO_CONNECTION_FD);
		*state = info ? enter(at, info->connect_fd) : NULL;
		drop_oldest(at);
		wake(s);
	}
	pthread_mutex_unlock(&s->lock);
}

void http_keep(struct http_call *call, uint64_t ns)
{
	struct http_server *s = call->at->server;

	if (!call->kept)
		return;
	pthread_mutex_lock(&s->lock);
	call->kept->active = ++s->happened;
	call->kept->deadline = ns ? prowl_now() + ns : 0;
	pthread_mutex_unlock(&s->lock);
}

/* --- holding ----------------------------------------------------------------------- */

bool http_hold(struct http_request *q, void (*gone)(void *arg, struct http_request *q), void *arg)
{
	struct http_call *call = http_call_of(q);
	struct http_server *s = call->at->server;
	bool can;

	pthread_mutex_lock(&s->lock);
	can = !s->stopping;
	if (can) {
		call->gone = gone;
		call->gone_arg = arg;
		call->stage = HTTP_HELD;
		if (call->kept) {
			call->kept->held = call;
			call->kept->deadline = 0;
		}
		/* Before anybody can release it. */
		s->lib.suspend(call->connection);
		wake(s);
	}
	pthread_mutex_unlock(&s->lock);
	return can;
}

void http_release(struct http_request *q)
{
	struct http_call *call = http_call_of(q);
	struct http_server *s = call->at->server;

	pthread_mutex_lock(&s->lock);
	if (call->kept)
		call->kept->held = NULL;
	call->gone = NULL;
	s->lib.resume(call->connection);
	pthread_mutex_unlock(&s->lock);
}

/* --- the keeper -------------------------------------------------------------------- */

struct watched {
	struct pollfd *fds;
	struct http_kept **kept;
	size_t n;
	uint64_t next; /* the earliest deadline; 0: none */
};

static void look_at(struct http_server *s, struct http_kept *k, struct watched *w, uint64_t now)
{
	if (!k->used || k->fd < 0)
		return;
	if (k->held && k->held->gone) {
		w->kept[w->n] = k;
		w->fds[w->n++] = (struct pollfd){k->fd, POLLRDHUP, 0};
	}
	if (k->deadline && k->deadline <= now)
		shut(k);
	else if (k->deadline && (!w->next || k->deadline < w->next))
		w->next = k->deadline;
}

static void look(struct http_server *s, struct watched *w)
{
	uint64_t now = prowl_now();

	w->n = 1;
	w->next = 0;
	w->fds[0] = (struct pollfd){s->keeper_fd, POLLIN, 0};
	for (size_t i = 0; i < s->o.n; i++)
		for (size_t j = 0; j < s->o.max_accepted; j++)
			look_at(s, &s->at[i].kept[j], w, now);
}

/* Under the lock, so that nobody releases it at the same time. */
static void tell_gone(const struct watched *w)
{
	for (size_t i = 1; i < w->n; i++) {
		struct http_kept *k = w->kept[i];
		struct http_call *call = k->held;
		void (*gone)(void *arg, struct http_request *q);

		if (!w->fds[i].revents || !k->used || k->fd != w->fds[i].fd || !call || !call->gone)
			continue;
		gone = call->gone;
		call->gone = NULL;
		gone(call->gone_arg, &call->q);
	}
}

static int wait_ms(const struct watched *w)
{
	uint64_t now = prowl_now();

	if (!w->next)
		return -1;
	return w->next <= now ? 0 : (int)((w->next - now) / 1000000 + 1);
}

static void *keep(void *arg)
{
	struct http_server *s = arg;
	size_t most = s->o.n * s->o.max_accepted + 1;
	struct watched w = {calloc(most, sizeof *w.fds), calloc(most, sizeof(void *)), 0, 0};
	eventfd_t ignored;

	pthread_mutex_lock(&s->lock);
	while (w.fds && w.kept && !s->keeper_ends) {
		look(s, &w);
		pthread_mutex_unlock(&s->lock);
		poll(w.fds, w.n, wait_ms(&w));
		eventfd_read(s->keeper_fd, &ignored);
		pthread_mutex_lock(&s->lock);
		tell_gone(&w);
	}
	pthread_mutex_unlock(&s->lock);
	free(w.fds);
	free(w.kept);
	return NULL;
}

int http_keeper_start(struct http_server *s)
{
	s->keeper_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->keeper_fd < 0)
		return -errno;
	s->keeper_runs = pthread_create(&s->keeper, NULL, keep, s) == 0;
	return s->keeper_runs ? 0 : -EAGAIN;
}

void http_keeper_end(struct http_server *s)
{
	if (s->keeper_runs) {
		pthread_mutex_lock(&s->lock);
		s->keeper_ends = true;
		wake(s);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->keeper, NULL);
	}
	if (s->keeper_fd >= 0)
		close(s->keeper_fd);
}
