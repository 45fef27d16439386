module greenlight/http

go 1.22
