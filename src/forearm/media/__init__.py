"""Pictures for people: enlarged, side by side, coloured, labelled, as data URIs and as films; actions in words."""
