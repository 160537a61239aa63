package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

func TestMainWithItsHandlerHasAtMost25Lines(t *testing.T) {
	files := token.NewFileSet()
	f, err := parser.ParseFile(files, "main.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	lines, found := 0, false
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok {
			lines += files.Position(fn.End()).Line - files.Position(fn.Pos()).Line + 1
			found = found || fn.Name.Name == "main"
		}
	}
	if !found || lines > 25 {
		t.Errorf("main found: %v; the functions have %d lines, want at most 25", found, lines)
	}
}

func TestTheREADMEShowsTheProgramAsItIs(t *testing.T) {
	program, err := os.ReadFile("main.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(program), "\npackage main\n")
	if want := "```go\npackage main\n" + code + "```\n"; code == "" || !strings.Contains(string(readme), want) {
		t.Errorf("README.md lacks a go block with main.go from its package clause on:\n%s", want)
	}
}
