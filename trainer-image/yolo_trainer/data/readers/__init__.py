"""One file a format of labelled data; `data.formats` recognises which."""
