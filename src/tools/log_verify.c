/* SPDX-License-Identifier: Apache-2.0
 *
 * tools/log_verify.c - ottla log verify, ottla log repair.
 *
 * REPAIR  plan and deed come from one verification, made while the lock is held: between looking and mending nobody writes.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "tools/tools.h"

struct totals {
	uint64_t logs, bytes, batches, records, violations, notes;
};

struct job {
	const struct arguments *args;
	bool json, quiet, repair, apply;
	struct log_place place;
	struct log_findings of_place;
	struct totals totals;
	enum status status;
};

/* ---- printing ---- */

static void
print_finding_json(const struct log_finding *f)
{
	struct line j;

	line_begin(&j, "finding");
	line_string(&j, "rule", log_rule_code(f->rule));
	line_bool(&j, "violation", f->violation);
	line_string(&j, "path", f->path);
	line_int(&j, "offset", f->offset);
	line_int(&j, "position", f->position);
	line_string(&j, "message", f->words);
	line_end(&j);
}

static void
print_finding(const struct log_finding *f)
{
	printf("%s  %s: %s", log_rule_code(f->rule), f->violation ? "VIOLATION" : "note", f->path);
	if (f->offset >= 0)
		printf(", offset %" PRId64, f->offset);
	if (f->position >= 0)
		printf(", position %" PRId64, f->position);
	printf(": %s\n", f->words);
	if (f->violation)
		printf("    rule %s: %s\n", log_rule_code(f->rule), log_rule_text(f->rule));
}

static void
print_findings(struct job *job, const struct log_findings *fs)
{
	progress_end();
	for (uint32_t i = 0; i < fs->n; i++) {
		job->totals.violations += fs->v[i].violation;
		job->totals.notes += !fs->v[i].violation;
		if (job->quiet && !fs->v[i].violation)
			continue;
		if (job->json)
			print_finding_json(&fs->v[i]);
		else
			print_finding(&fs->v[i]);
	}
	if (fs->unlisted > 0 && !job->json)
		printf("    and %" PRIu64 " more of the same\n", fs->unlisted);
	if (fs->violations > 0)
		job->status = worse(job->status, STATUS_FOUND);
}

static void
print_report(struct job *job, const char *dir, const struct log_report *r)
{
	struct line j;

	job->totals.logs++;
	job->totals.bytes += r->bytes;
	job->totals.batches += r->batches;
	job->totals.records += r->records;
	print_findings(job, &r->findings);
	if (job->json) {
		line_begin(&j, "log");
		line_string(&j, "path", dir);
		line_string(&j, "topic", r->topic);
		line_int(&j, "partition", r->partition);
		line_int(&j, "start_offset", r->start);
		line_int(&j, "end_offset", r->end);
		line_int(&j, "high_watermark", r->high_watermark);
		line_int(&j, "leader_epoch", r->latest_epoch);
		line_int(&j, "segments", r->nsegments);
		line_int(&j, "bytes", (int64_t)r->bytes);
		line_int(&j, "batches", (int64_t)r->batches);
		line_int(&j, "records", (int64_t)r->records);
		line_int(&j, "violations", r->findings.violations);
		line_int(&j, "unlisted", (int64_t)r->findings.unlisted);
		line_int(&j, "cut_offset", r->cut_offset);
		line_end(&j);
	} else if (!job->quiet || r->findings.violations > 0)
		printf("%s: offsets %" PRId64 " to %" PRId64 ", %" PRIu32 " segments, %" PRIu64 " bytes, %" PRIu64 " batches, %" PRIu64 " records: %s\n", dir, r->start, r->end,
		    r->nsegments, r->bytes, r->batches, r->records, r->findings.violations == 0 ? "clean" : "NOT CLEAN");
}

static void
print_totals(const struct job *job)
{
	const struct totals *t = &job->totals;
	struct line j;

	if (job->json) {
		line_begin(&j, "summary");
		line_int(&j, "logs", (int64_t)t->logs);
		line_int(&j, "bytes", (int64_t)t->bytes);
		line_int(&j, "batches", (int64_t)t->batches);
		line_int(&j, "records", (int64_t)t->records);
		line_int(&j, "violations", (int64_t)t->violations);
		line_int(&j, "notes", (int64_t)t->notes);
		line_int(&j, "status", job->status);
		line_end(&j);
	} else if (!job->quiet)
		printf("%" PRIu64 " logs, %" PRIu64 " batches, %" PRIu64 " records: %" PRIu64 " violations, %" PRIu64 " notes\n", t->logs, t->batches, t->records, t->violations,
		    t->notes);
}

static void
print_step(const struct job *job, const char *dir, uint32_t n, const char *words)
{
	struct line j;

	if (!job->json) {
		printf("  %" PRIu32 ". %s\n", n, words);
		return;
	}
	line_begin(&j, "step");
	line_string(&j, "path", dir);
	line_int(&j, "step", n);
	line_bool(&j, "done", job->apply);
	line_string(&j, "message", words);
	line_end(&j);
}

/* ---- repairing ---- */

static void
warn_of_loss(const struct log_report *r, const char *dir)
{
	fprintf(stderr, "WARNING: %s is cut at offset %" PRId64 ", below its high watermark %" PRId64 ": records that were acknowledged go.\n"
	    "         If another replica of it is whole, do not repair: remove this directory while the broker is down, and it is fetched again.\n", dir,
	    r->cut_offset, r->high_watermark);
}

static void
mend(struct job *job, const char *dir, const struct log_report *r)
{
	struct log_repair_plan plan;
	struct errbuf eb = ERRBUF_INIT;

	log_repair_plan(fs_real(), dir, &job->place, r, &plan);
	if (plan.n > 0 && !job->json)
		printf("%s %s:\n", job->apply ? "repairing" : "a repair would, in", dir);
	for (uint32_t i = 0; i < plan.n; i++)
		print_step(job, dir, i + 1, plan.steps[i].words);
	if (plan.below_high_watermark)
		warn_of_loss(r, dir);
	if (plan.beyond_repair)
		fprintf(stderr, "%s: some of it cannot be mended (see the rules in ottla(1))\n", dir);
	fflush(stdout);
	if (job->apply && plan.n > 0 && log_repair(fs_real(), dir, &job->place, r, &eb) != OK)
		job->status = failure(job->args, "%s\n  what was done stays done; run it again when the cause is gone", eb.text);
	log_repair_plan_fini(&plan);
}

/* A look after the repair: the status says how things are now. */
static void
confirm(struct job *job, const char *dir)
{
	struct log_findings again = LOG_FINDINGS_INIT;
	struct errbuf eb = ERRBUF_INIT;
	struct log_place place;
	struct log_report r;

	if (log_place_read(fs_real(), job->place.path, true, &place, &again, &eb) != OK || log_verify(fs_real(), dir, &place, progress, &r, &eb) != OK)
		job->status = failure(job->args, "%s", eb.text);
	else {
		print_findings(job, &r.findings);
		log_report_fini(&r);
	}
	log_place_fini(&place);
	log_findings_fini(&again);
}

/* ---- one log, one directory ---- */

static void
one_log(struct job *job, const char *dir)
{
	enum status before = job->status;
	struct errbuf eb = ERRBUF_INIT;
	struct log_report r;

	if (log_verify(fs_real(), dir, &job->place, progress, &r, &eb) != OK) {
		/* Deleted while we were looking: the broker may do that. */
		if (job->place.holder == 0 || fs_exists(fs_real(), dir))
			job->status = failure(job->args, "%s", eb.text);
	} else {
		print_report(job, dir, &r);
		if (job->repair && r.findings.violations > 0) {
			mend(job, dir, &r);
			if (job->apply && job->status != STATUS_FAILED) {
				job->status = before;
				confirm(job, dir);
			}
		}
	}
	log_report_fini(&r);
}

static void
all_logs(struct job *job)
{
	struct errbuf eb = ERRBUF_INIT;

	print_findings(job, &job->of_place);
	if (job->apply && log_place_repair(fs_real(), &job->place, &job->of_place, &eb) != OK)
		job->status = failure(job->args, "%s", eb.text);
	for (uint32_t i = 0; i < job->place.nlogs; i++) {
		char *dir = xasprintf("%s/%s", job->place.path, job->place.logs[i]);

		one_log(job, dir);
		free(dir);
	}
}

/* ---- the lock ---- */

/* What root writes the broker's user could not open. */
static bool
owns(struct job *job, const char *place)
{
	struct stat st;

	if (stat(place, &st) != 0 || st.st_uid == geteuid())
		return (true);
	job->status = failure(job->args, "%s belongs to user %u, and this is user %u: the broker could not open what a repair writes; run it as that user (sudo -u '#%u')",
	    place, st.st_uid, geteuid(), st.st_uid);
	return (false);
}

static bool
take_lock(struct job *job, const char *place, struct file **lock)
{
	struct errbuf eb = ERRBUF_INIT;
	int holder = 0;
	enum err e;

	if (job->apply && !owns(job, place))
		return (false);
	if (!job->apply || !job->place.is_log_dir)
		return (true);		/* a copy, away from any log directory: no broker is on it */
	e = log_lock(fs_real(), place, lock, &holder, &eb);
	if (e == OK)
		return (true);
	if (e == ERR_LOCKED && holder > 0)
		job->status = failure(job->args, "%s is in use by process %d, which holds %s/.lock: stop that broker first; nothing was changed", place, holder, place);
	else if (e == ERR_LOCKED)
		job->status = failure(job->args, "%s is in use by a process that cannot be seen from here, which holds %s/.lock; nothing was changed", place, place);
	else
		job->status = failure(job->args, "%s", eb.text);
	return (false);
}

static bool
read_place(struct job *job, const char *place, bool ours)
{
	struct errbuf eb = ERRBUF_INIT;

	log_place_fini(&job->place);
	log_findings_fini(&job->of_place);
	if (log_place_read(fs_real(), place, ours, &job->place, &job->of_place, &eb) == OK)
		return (true);
	job->status = failure(job->args, "%s", eb.text);
	return (false);
}

static void
one_operand(struct job *job, const char *text)
{
	struct file *lock = NULL;
	struct operand o;

	if (!operand_open(job->args, text, &o)) {
		job->status = STATUS_FAILED;
		return;
	}
	if (o.kind == OPERAND_FILE)
		job->status = worse(job->status, usage_error(job->args, "%s is a file: the rules are about whole logs, name its directory (ottla log dump prints files)", text));
	else if (read_place(job, o.place, false) && take_lock(job, o.place, &lock) && (lock == NULL || read_place(job, o.place, true))) {
		if (o.kind == OPERAND_LOG_DIR)
			all_logs(job);
		else
			one_log(job, o.path);
	}
	file_unref(&lock);
	operand_fini(&o);
}

static enum status
run(const struct arguments *a, bool repair)
{
	struct job job = { .args = a, .json = given(a, OPT_json), .quiet = given(a, OPT_quiet), .repair = repair, .apply = given(a, OPT_apply),
		.place = LOG_PLACE_INIT, .of_place = LOG_FINDINGS_INIT };

	if (job.apply && !repair)
		return (usage_error(a, "--apply goes with --repair"));
	for (unsigned i = 0; i < a->noperands; i++)
		one_operand(&job, a->operands[i]);
	print_totals(&job);
	if (repair && !job.apply && job.status == STATUS_FOUND && !job.json)
		printf("nothing was changed; --apply does it\n");
	log_place_fini(&job.place);
	log_findings_fini(&job.of_place);
	return (job.status);
}

enum status
verb_log_verify(const struct arguments *a)
{
	return (run(a, given(a, OPT_repair)));
}

enum status
verb_log_repair(const struct arguments *a)
{
	return (run(a, true));
}
