ALTER TABLE "job" DROP CONSTRAINT "job_job_id";--> statement-breakpoint
-- Room on each page for a chapter's next version, so that its indexes need not change with it.
ALTER TABLE "chapter" SET (fillfactor = 70);
