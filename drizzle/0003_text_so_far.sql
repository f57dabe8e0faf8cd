-- Unlogged: nothing of it needs to survive a crash, and it must not fill the write-ahead log.
CREATE UNLOGGED TABLE "partial" (
	"chapter_id" bigint NOT NULL,
	"kind" text NOT NULL,
	"job_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	"stamp" bigint NOT NULL,
	"length" integer NOT NULL,
	"content" text NOT NULL,
	CONSTRAINT "partial_of_job" PRIMARY KEY("chapter_id","kind")
);
--> statement-breakpoint
ALTER TABLE "partial" ADD CONSTRAINT "partial_job" FOREIGN KEY ("chapter_id","kind") REFERENCES "public"."job"("chapter_id","kind") ON DELETE cascade ON UPDATE no action;