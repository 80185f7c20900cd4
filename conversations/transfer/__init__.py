"""Conversations in and out: other products' exports and our own come in, ours go out.

In:  `upload` opens a file, `stream` reads its JSON, `chatgpt`, `openwebui` and `own` make trees of it,
     `reading` chooses among them, `writing` stores trees, `runs` and `work` see a file through.
Out: `json`, `markdown` write one conversation, `archive` all of a person's data.
"""
