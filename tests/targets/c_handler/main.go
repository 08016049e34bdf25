// SPDX-License-Identifier: Apache-2.0

// Command c_handler interrupts main.spin by signals whose handler is C and is busy itself: it runs
// on the thread's signal stack, as Go asks of all handlers.
package main

/*
#include <signal.h>
#include <string.h>
#include <sys/time.h>

static volatile unsigned long sum;

__attribute__((noinline)) static void c_busy(void)
{
	for (int i = 0; i < 20000000; i++)
		sum += i;
}

__attribute__((noinline)) static void c_handler(int sig)
{
	c_busy();
	sum += sig;
}

static void c_start(void)
{
	struct sigaction a;
	struct itimerval t = {{0, 10000}, {0, 10000}};

	memset(&a, 0, sizeof a);
	a.sa_handler = c_handler;
	a.sa_flags = SA_ONSTACK | SA_RESTART;
	sigaction(SIGVTALRM, &a, NULL);
	setitimer(ITIMER_VIRTUAL, &t, NULL);
}
*/
import "C"

import "prowltest/ctl"

var sum uint64

//go:noinline
func spin() {
	for i := uint64(0); i < 100_000; i++ {
		sum = sum*6364136223846793005 + i
	}
}

//go:noinline
func caller() {
	for {
		spin()
		sum++
	}
}

func main() {
	C.c_start()
	go caller()
	ctl.Ready("")
	ctl.Serve(0)
}
