package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cuepod/cuepod/compiler/fields"
)

// explainField prints the documentation of a field of the schema.
func (c *cli) explainField(path string) error {
	f, err := fields.Lookup(path)
	if err != nil {
		return fieldError(err)
	}
	var b strings.Builder
	writeField(&b, f, c.colors(c.out))
	return write(c.out, []byte(b.String()))
}

// writeField prints a field with its type, its documentation and the fields
// below it.
func writeField(w io.Writer, f *fields.Field, s style) {
	head := s.paint(bold, fieldPath(f.Path)) + "  " + fieldType(f)
	fmt.Fprintln(w, head)
	if f.Doc != "" {
		fmt.Fprintf(w, "\n%s\n", f.Doc)
	}
	if f.Allowed != "" {
		fmt.Fprintf(w, "\nAllowed: %s\n", f.Allowed)
	}
	if len(f.Fields) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", s.paint(bold, "Fields"))
	var t table
	for _, m := range f.Fields {
		t.add(m.Name, fieldType(&m))
		first, _, _ := strings.Cut(m.Doc, "\n\n") // the second is its type's own
		for _, line := range wrap(brief(oneLine(first)), 72) {
			t.add("  " + line)
		}
	}
	t.write(w, "  ")
}

// brief is the beginning of a text: as many sentences as are worth a glance in
// a list, the first at least. The field itself shows all of it.
func brief(text string) string {
	const glance = 150
	end := len(text)
	for i := 0; i < len(text); i++ {
		next := strings.Index(text[i:], ". ")
		if next < 0 || end < len(text) && i+next > glance {
			break
		}
		i += next
		end = i + 1
	}
	if len(text) <= glance {
		return text
	}
	return text[:end]
}

// wrap breaks a text into lines of at most width bytes, between words.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

func fieldPath(path string) string {
	if path == "" {
		return "app"
	}
	return path
}

func fieldType(f *fields.Field) string {
	if f.Required {
		return f.Type + " (required)"
	}
	return f.Type
}

// fieldError is a usage error that names the field that was probably meant.
func fieldError(err error) error {
	var unknown *fields.UnknownError
	if !errors.As(err, &unknown) {
		return err
	}
	msg := unknown.Error()
	switch near := nearest(unknown.Name, unknown.Known); {
	case near != "":
		msg += "; did you mean " + near + "?"
	case len(unknown.Known) > 0:
		msg += "; it has " + strings.Join(slices.Sorted(slices.Values(unknown.Known)), ", ")
	}
	return &usageError{"cuepod explain", msg}
}

// completeFields offers the paths of the schema one part at a time, so that
// nobody has to choose among hundreds.
func completeFields(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	parent := typed[:strings.LastIndex(typed, ".")+1] // with its dot
	f, err := fields.Lookup(strings.TrimSuffix(parent, "."))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []string
	for _, m := range f.Fields {
		if path := parent + m.Name; strings.HasPrefix(path, typed) {
			out = append(out, path+"\t"+m.Type)
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}

// completeWith is complete for values that depend on what was typed.
func completeWith(cmd *cobra.Command, flag string, values cobra.CompletionFunc) {
	if err := cmd.RegisterFlagCompletionFunc(flag, values); err != nil {
		panic("completion of a flag that does not exist: " + err.Error())
	}
}
