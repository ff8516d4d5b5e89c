package compiler

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"cuelang.org/go/cue"

	"github.com/cuepod/cuepod/compiler/near"
)

// kindName names a kind of value for people who have not read CUE's manual.
func kindName(k cue.Kind) string {
	var names []string
	add := func(kind cue.Kind, name string) {
		if k&kind == kind {
			names = append(names, name)
		}
	}
	add(cue.NullKind, "null")
	add(cue.BoolKind, "true or false")
	if k&cue.NumberKind == cue.NumberKind {
		names = append(names, "a number")
	} else {
		add(cue.IntKind, "a whole number")
		add(cue.FloatKind, "a number with a fraction")
	}
	add(cue.StringKind, "a string")
	add(cue.BytesKind, "bytes")
	add(cue.ListKind, "a list")
	add(cue.StructKind, "fields in { }")
	if len(names) == 0 {
		return "nothing"
	}
	return orList(names)
}

// describe is kindName with the value where it is short and concrete.
func describe(v cue.Value) string {
	switch k := v.IncompleteKind(); {
	case !v.IsConcrete() || k == cue.StructKind || k == cue.ListKind:
		return kindName(k)
	case k == cue.BoolKind || k == cue.NullKind:
		return show(v)
	case k == cue.StringKind:
		return "the string " + show(v)
	case k == cue.BytesKind:
		return "the bytes " + show(v)
	default:
		return "the number " + show(v)
	}
}

// conversion is the hint for a scalar of a neighbouring kind.
func conversion(v cue.Value, want cue.Kind) string {
	switch k := v.Kind(); {
	case want == cue.StringKind && k&(cue.NumberKind|cue.BoolKind) != 0:
		return fmt.Sprintf("write it in quotes: %q", show(v))
	case want == cue.ListKind && k == cue.StringKind:
		return "write it in brackets: [" + show(v) + "]"
	case k == cue.StringKind:
		s, _ := v.String()
		_, notNumber := strconv.ParseInt(s, 10, 64)
		_, notBool := strconv.ParseBool(s)
		if octal := strings.TrimLeft(s, "0"); notNumber == nil && octal != s && octal != "" {
			s = "0o" + octal
		}
		if want&cue.IntKind != 0 && notNumber == nil || want&cue.BoolKind != 0 && notBool == nil {
			return "write it without quotes: " + s
		}
	}
	return ""
}

// show is a value as CUE, on one line and not too long.
func show(v cue.Value) string {
	s := strings.Join(strings.Fields(fmt.Sprint(v)), " ")
	if r := []rune(s); len(r) > 60 {
		s = string(r[:57]) + "..."
	}
	return s
}

// orList joins alternatives: "a, b or c".
func orList(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

func unquoted(list []string) []string {
	var plain []string
	for _, s := range list {
		if u, err := strconv.Unquote(s); err == nil {
			plain = append(plain, u)
		}
	}
	return plain
}

// countOf says how many there are: "there is no source", "there are 2 sources".
func countOf(n int, thing string) string {
	switch n {
	case 0:
		return "there is no " + thing
	case 1:
		return "there is one " + thing
	}
	return fmt.Sprintf("there are %d %ss", n, thing)
}

// suggest is a hint that names the nearest of the known fields, or all of them
// when none is near and they are few.
func suggest(name string, known []string) string {
	if hint := didYouMean(name, known); hint != "" {
		return hint
	}
	if len(known) > 0 && len(known) <= 12 {
		return "it has: " + strings.Join(slices.Sorted(slices.Values(known)), ", ")
	}
	return ""
}

// didYouMean is a hint that names the nearest of the known names, or "" when
// none is near.
func didYouMean(name string, known []string) string { return near.Hint(name, known) }

// typeCUE is what a value may be, as CUE, without its defaults.
func typeCUE(v cue.Value) string {
	op, args := v.Expr()
	switch {
	case op == cue.OrOp:
		return joinTypes(args, " | ")
	case op == cue.AndOp:
		return joinTypes(args, " & ")
	case op == cue.NoOp && len(args) == 1 && v.IncompleteKind() != cue.StructKind:
		return show(args[0]) // T | *default, where T allows the default
	}
	return show(v)
}

// joinTypes joins the types of values. It drops repetitions, and in a
// unification bare kinds beside something narrower.
func joinTypes(list []cue.Value, sep string) string {
	var types, kinds []string
	for _, v := range list {
		text := typeCUE(v)
		switch {
		case slices.Contains(types, text):
		case sep == " & " && text == kindCUE(v):
			kinds = append(kinds, text)
		default:
			types = append(types, text)
		}
	}
	if len(types) == 0 {
		types = kinds[:1]
	}
	return strings.Join(types, sep)
}

// kindCUE is a value's kind as CUE writes it.
func kindCUE(v cue.Value) string { return v.IncompleteKind().String() }
