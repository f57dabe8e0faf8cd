CREATE TABLE "attempt" (
	"chapter_id" bigint NOT NULL,
	"kind" text NOT NULL,
	"revision" integer NOT NULL,
	"job_id" uuid NOT NULL,
	"attempt" integer NOT NULL,
	"started_at" timestamp (3) with time zone,
	"ended_at" timestamp (3) with time zone NOT NULL,
	"outcome" text NOT NULL,
	"reason" text,
	"error" text,
	CONSTRAINT "attempt_of_job" PRIMARY KEY("chapter_id","kind","job_id","attempt"),
	CONSTRAINT "attempt_kind" CHECK ("kind" in ('concept', 'exercise', 'quiz')),
	CONSTRAINT "attempt_outcome" CHECK ("outcome" in ('completed', 'failed', 'cancelled'))
);
--> statement-breakpoint
CREATE TABLE "revision" (
	"chapter_id" bigint NOT NULL,
	"kind" text NOT NULL,
	"revision" integer NOT NULL,
	"instruction" text,
	"result" json,
	"created_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "revision_of_kind" PRIMARY KEY("chapter_id","kind","revision"),
	CONSTRAINT "revision_kind" CHECK ("kind" in ('concept', 'exercise', 'quiz'))
);
--> statement-breakpoint
ALTER TABLE "dead_letter" ADD COLUMN "revision" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "job" ADD COLUMN "revision" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "job" ADD COLUMN "kept_revision" integer;--> statement-breakpoint
ALTER TABLE "attempt" ADD CONSTRAINT "attempt_chapter_id_chapter_id_fk" FOREIGN KEY ("chapter_id") REFERENCES "public"."chapter"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "revision" ADD CONSTRAINT "revision_chapter_id_chapter_id_fk" FOREIGN KEY ("chapter_id") REFERENCES "public"."chapter"("id") ON DELETE cascade ON UPDATE no action;