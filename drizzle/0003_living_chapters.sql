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
CREATE TABLE "delivery" (
	"chapter_id" bigint NOT NULL,
	"seq" bigint NOT NULL,
	"type" text NOT NULL,
	"ended_at" timestamp (3) with time zone NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"give_up_at" timestamp (3) with time zone NOT NULL,
	"leased_until" timestamp (3) with time zone,
	"last_status" integer,
	"last_error" text,
	"delivered_at" timestamp (3) with time zone,
	"failed_at" timestamp (3) with time zone,
	CONSTRAINT "delivery_of_event" PRIMARY KEY("chapter_id","seq"),
	CONSTRAINT "delivery_type" CHECK ("type" in ('chapter.completed', 'chapter.failed', 'chapter.cancelled'))
);
--> statement-breakpoint
CREATE TABLE "generation_window" (
	"id" integer PRIMARY KEY NOT NULL,
	"claims" bigint DEFAULT 0 NOT NULL,
	"concept_turn" bigint DEFAULT 0 NOT NULL,
	"exercise_turn" bigint DEFAULT 0 NOT NULL,
	"quiz_turn" bigint DEFAULT 0 NOT NULL,
	"last_kind" text,
	"widths" json DEFAULT '{}'::json NOT NULL,
	CONSTRAINT "generation_window_one" CHECK (id = 1)
);
--> statement-breakpoint
CREATE TABLE "notice_clock" (
	"id" integer PRIMARY KEY NOT NULL,
	"since" timestamp (3) with time zone NOT NULL,
	"seen_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
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
ALTER TABLE "idempotency_key" ADD COLUMN "chapter_ids" json;--> statement-breakpoint
ALTER TABLE "job" ADD COLUMN "revision" integer DEFAULT 1 NOT NULL;--> statement-breakpoint
ALTER TABLE "job" ADD COLUMN "kept_revision" integer;--> statement-breakpoint
ALTER TABLE "job" ADD COLUMN "owner_id" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "job" ADD COLUMN "placed_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "attempt" ADD CONSTRAINT "attempt_chapter_id_chapter_id_fk" FOREIGN KEY ("chapter_id") REFERENCES "public"."chapter"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "delivery" ADD CONSTRAINT "delivery_chapter_id_chapter_id_fk" FOREIGN KEY ("chapter_id") REFERENCES "public"."chapter"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "partial" ADD CONSTRAINT "partial_job" FOREIGN KEY ("chapter_id","kind") REFERENCES "public"."job"("chapter_id","kind") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "revision" ADD CONSTRAINT "revision_chapter_id_chapter_id_fk" FOREIGN KEY ("chapter_id") REFERENCES "public"."chapter"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "delivery_to_send" ON "delivery" USING btree ("due_at") WHERE delivered_at is null and failed_at is null;--> statement-breakpoint
CREATE INDEX "delivery_by_age" ON "delivery" USING btree ("ended_at","chapter_id","seq");--> statement-breakpoint
CREATE INDEX "job_waiting" ON "job" USING btree ("kind","owner_id","chapter_id","due_at") WHERE status = 'queued' and leased_until is null;--> statement-breakpoint
CREATE INDEX "job_placed" ON "job" USING btree ("placed_at") WHERE status = 'queued' and placed_at is not null;