-- Room on each page for a chapter's next version, so that its indexes need not change with it.
ALTER TABLE "chapter" SET (fillfactor = 70);
