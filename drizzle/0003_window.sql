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
ALTER TABLE "job" ADD COLUMN "owner_id" bigint DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "job" ADD COLUMN "placed_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE INDEX "job_waiting" ON "job" USING btree ("kind","owner_id","chapter_id","due_at") WHERE status = 'queued' and leased_until is null;--> statement-breakpoint
CREATE INDEX "job_placed" ON "job" USING btree ("placed_at") WHERE status = 'queued' and placed_at is not null;