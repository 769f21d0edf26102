"""The steps of the writer: what may stand at PATH, whose PATH.partial is, renames, the journal."""
