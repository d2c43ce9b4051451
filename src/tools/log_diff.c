/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/log_diff.c - ottla log diff.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "tools/tools.h"

static const char *const names[] = {
	[LOG_SAME] = "same", [LOG_DIFFERENT_BYTES] = "different_bytes", [LOG_DIFFERENT_OFFSETS] = "different_offsets",
	[LOG_A_IS_SHORTER] = "a_is_shorter", [LOG_B_IS_SHORTER] = "b_is_shorter", [LOG_NOTHING_IN_COMMON] = "nothing_in_common",
};

static void
print_json(const char *a, const char *b, const struct log_comparison *c)
{
	struct line j;

	line_begin(&j, "comparison");
	line_string(&j, "a", a);
	line_string(&j, "b", b);
	line_string(&j, "difference", names[c->difference]);
	line_int(&j, "from_offset", c->from);
	line_int(&j, "offset", c->offset);
	for (int i = 0; i < 2; i++) {
		static const char *const keys[2][5] = {
			{ "a_start", "a_end", "a_epoch", "a_segment", "a_position" }, { "b_start", "b_end", "b_epoch", "b_segment", "b_position" }
		};

		line_int(&j, keys[i][0], c->start[i]);
		line_int(&j, keys[i][1], c->end[i]);
		line_int(&j, keys[i][2], c->epoch[i]);
		line_int(&j, keys[i][3], c->base[i]);
		line_int(&j, keys[i][4], c->position[i]);
	}
	line_int(&j, "common_epoch", c->common_epoch);
	line_int(&j, "byte", c->byte);
	line_int(&j, "batches", (int64_t)c->batches);
	line_int(&j, "bytes", (int64_t)c->bytes);
	line_end(&j);
}

static void
print_side(const char *name, const struct log_comparison *c, int i)
{
	printf("  %s: offsets %" PRId64 " to %" PRId64, name, c->start[i], c->end[i]);
	if (c->epoch[i] >= 0)
		printf(", there leader epoch %" PRId32, c->epoch[i]);
	if (c->base[i] >= 0)
		printf(", segment %020" PRId64 " position %" PRId64, c->base[i], c->position[i]);
	printf("%s\n", c->torn[i] ? ", ends in the middle of a batch" : "");
}

static void
print_words(const char *a, const char *b, const struct log_comparison *c)
{
	switch (c->difference) {
	case LOG_SAME:
		printf("%s, %s: the same from offset %" PRId64 " to %" PRId64 " (%" PRIu64 " batches, %" PRIu64 " bytes)\n", a, b, c->from, c->offset, c->batches, c->bytes);
		return;
	case LOG_DIFFERENT_BYTES:
		printf("%s, %s: DIVERGE at offset %" PRId64 ": the batches differ from byte %" PRIu32 " on\n", a, b, c->offset, c->byte);
		break;
	case LOG_DIFFERENT_OFFSETS:
		printf("%s, %s: DIVERGE at offset %" PRId64 ": the batches there do not hold the same offsets\n", a, b, c->offset);
		break;
	case LOG_A_IS_SHORTER:
	case LOG_B_IS_SHORTER:
		printf("%s, %s: the same from offset %" PRId64 " to %" PRId64 ", where %s ENDS\n", a, b, c->from, c->offset, c->difference == LOG_A_IS_SHORTER ? a : b);
		break;
	case LOG_NOTHING_IN_COMMON:
		printf("%s, %s: NO offset in common\n", a, b);
		break;
	}
	if (c->batches > 0)
		printf("  the last batch in common is of leader epoch %" PRId32 "\n", c->common_epoch);
	print_side(a, c, 0);
	print_side(b, c, 1);
}

static enum status
compare(const struct arguments *args, const char *a, const char *b)
{
	struct errbuf eb = ERRBUF_INIT;
	struct log_comparison c;

	if (log_compare(fs_real(), a, b, progress, &c, &eb) != OK)
		return (failure(args, "%s", eb.text));
	progress_end();
	if (given(args, OPT_json))
		print_json(a, b, &c);
	else if (!given(args, OPT_quiet) || c.difference != LOG_SAME)
		print_words(a, b, &c);
	return (c.difference == LOG_SAME ? STATUS_CLEAN : STATUS_FOUND);
}

static enum status
compare_dirs(const struct arguments *args, const char *a, const char *b)
{
	struct log_findings ignored = LOG_FINDINGS_INIT;
	enum status status = STATUS_CLEAN;
	struct errbuf eb = ERRBUF_INIT;
	struct log_place p;
	unsigned common = 0;

	if (log_place_read(fs_real(), a, false, &p, &ignored, &eb) != OK)
		status = failure(args, "%s", eb.text);
	for (uint32_t i = 0; i < p.nlogs; i++) {
		char *in_a = xasprintf("%s/%s", a, p.logs[i]), *in_b = xasprintf("%s/%s", b, p.logs[i]);

		if (fs_exists(fs_real(), in_b)) {
			common++;
			status = worse(status, compare(args, in_a, in_b));
		}
		free(in_a);
		free(in_b);
	}
	if (status == STATUS_CLEAN && common == 0)
		status = failure(args, "%s and %s have no partition in common", a, b);
	log_place_fini(&p);
	log_findings_fini(&ignored);
	return (status);
}

enum status
verb_log_diff(const struct arguments *args)
{
	struct operand a, b;
	enum status status;

	if (!operand_open(args, args->operands[0], &a))
		return (STATUS_FAILED);
	if (!operand_open(args, args->operands[1], &b)) {
		operand_fini(&a);
		return (STATUS_FAILED);
	}
	if (a.kind != b.kind || a.kind == OPERAND_FILE)
		status = usage_error(args, "A and B must both be directories of a partition, or both log directories");
	else if (a.kind == OPERAND_PARTITION)
		status = compare(args, a.path, b.path);
	else
		status = compare_dirs(args, a.path, b.path);
	operand_fini(&a);
	operand_fini(&b);
	return (status);
}
