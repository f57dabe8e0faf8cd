CREATE TABLE "node" (
	"id" uuid PRIMARY KEY NOT NULL,
	"seen_at" timestamp(3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "session_room" (
	"pid" text NOT NULL,
	"chapter_id" bigint NOT NULL,
	"after_seq" bigint NOT NULL,
	"node_id" uuid NOT NULL,
	"left_at" timestamp(3) with time zone,
	CONSTRAINT "session_room_of_session" PRIMARY KEY("pid","chapter_id")
);
--> statement-breakpoint
ALTER TABLE "chapter" ADD COLUMN "traceparent" text;--> statement-breakpoint
CREATE INDEX "session_room_left" ON "session_room" USING btree ("left_at") WHERE left_at is not null;--> statement-breakpoint
CREATE INDEX "session_room_by_node" ON "session_room" USING btree ("node_id");