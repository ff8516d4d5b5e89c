module cuepod.dev/examples/quotes

go 1.24
