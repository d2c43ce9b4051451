/* SPDX-License-Identifier: Apache-2.0
 *
 * test/fuzz/libfuzzer.c - a target under libFuzzer, whose main this is not.  contrib/fuzz runs it.
 *
 * With OTTLA_FUZZ_SEEDS=DIR in the environment it writes the seeds there and ends.
 * With OTTLA_FUZZ_SECONDS=N it ends after N seconds of processor time.  libFuzzer's own limits are of the clock on the wall: beside other work, at a
 * low priority, a run would do less, and an input that only waited for a processor would be called slow.  So the time of one input is counted in
 * seconds of the processor, too.
 */
#include <sanitizer/lsan_interface.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "test/fuzz/fuzz.h"

enum { INPUT_SECONDS = 20 };

/* What a signal handler counts has to be global. */
static volatile sig_atomic_t ticks, ticks_max, ticks_at_input;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

/* One second of processor time has passed. */
static void
tick(int signo)
{
	static const char words[] = "one input takes more than 20 s of processor time\n";

	(void)signo;
	ticks++;
	if (ticks - ticks_at_input <= INPUT_SECONDS)
		return;
	if (write(STDERR_FILENO, words, sizeof(words) - 1) > 0)
		abort();	/* libFuzzer keeps the input and says where it is */
	_exit(1);
}

static void
count_processor_time(int seconds_max)
{
	struct itimerval every = { .it_interval = { .tv_sec = 1 }, .it_value = { .tv_sec = 1 } };
	struct sigaction sa;

	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = tick;
	sa.sa_flags = SA_RESTART;
	ticks_max = seconds_max;
	if (sigaction(SIGPROF, &sa, NULL) != 0 || setitimer(ITIMER_PROF, &every, NULL) != 0)
		abort();
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const char *dir = getenv("OTTLA_FUZZ_SEEDS"), *seconds = getenv("OTTLA_FUZZ_SECONDS");

	(void)argc;
	(void)argv;
	if (dir != NULL)
		exit(fuzz_write_seeds(dir) > 0 ? 0 : 1);
	if (seconds != NULL)
		count_processor_time(atoi(seconds));
	return (0);
}

/* libFuzzer ends after this input, with status 0 and its statistics.  It does not pass through exit(), where leaks are looked for. */
static void
end_in_order(void)
{
	if (__lsan_do_recoverable_leak_check() != 0)
		abort();
	ticks_max = 0;
	raise(SIGUSR1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t len)
{
	ticks_at_input = ticks;
	if (ticks_max > 0 && ticks >= ticks_max)
		end_in_order();
	fuzz_one(slice_of(p, len));
	return (0);
}
