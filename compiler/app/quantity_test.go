package app

import (
	"math"
	"math/big"
	"strings"
	"testing"
)

func TestQuantity(t *testing.T) {
	// The forms of https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
	// and of "Resource units in Kubernetes". Fractions round up.
	for _, c := range []struct {
		q            Quantity
		value, milli int64
	}{
		{"0", 0, 0},
		{"1", 1, 1000},
		{"0.1", 1, 100},
		{"100m", 1, 100},
		{"0.5", 1, 500},
		{"1500m", 2, 1500},
		{"250m", 1, 250},
		{"1m", 1, 1},
		{"1u", 1, 1},
		{"1n", 1, 1},
		{"1k", 1000, 1000000},
		{"1Ki", 1024, 1024000},
		{"128974848", 128974848, 128974848000},
		{"129e6", 129000000, 129000000000},
		{"129M", 129000000, 129000000000},
		{"128974848000m", 128974848, 128974848000},
		{"123Mi", 128974848, 128974848000},
		{"1.5Gi", 1610612736, 1610612736000},
		{"1G", 1000000000, 1000000000000},
		{"1E3", 1000, 1000000},
		{"1e-3", 1, 1},
		{"1E", 1000000000000000000, -1},
		{"7Ei", 7 << 60, -1},
		{"1Ti", 1 << 40, 1000 << 40},
		{"1P", 1000000000000000, 1000000000000000000},
		{"1Pi", 1 << 50, 1000 << 50},
	} {
		if got, err := c.q.Value(); err != nil || got != c.value {
			t.Errorf("%s is %d units (%v), want %d", c.q, got, err, c.value)
		}
		got, err := c.q.Milli()
		if c.milli < 0 {
			if err == nil {
				t.Errorf("%s is %d thousandths, want an error", c.q, got)
			}
			continue
		}
		if err != nil || got != c.milli {
			t.Errorf("%s is %d thousandths (%v), want %d", c.q, got, err, c.milli)
		}
	}
}

func TestQuantity_Refuses(t *testing.T) {
	for _, q := range []Quantity{"", "m", "1 Gi", "1MB", "1gi", "-1", "+1", ".5", "1.", "1e", "1ki", "1KI", "0x10", "1e999", "8Ei", "9223372036854775808"} {
		if v, err := q.Value(); err == nil {
			t.Errorf("%q is read as %d, want an error", q, v)
		} else if !strings.Contains(err.Error(), string(q)) {
			t.Errorf("the error does not name %q: %v", q, err)
		}
	}
}

func TestQuantity_Compare(t *testing.T) {
	for _, c := range []struct {
		a, b Quantity
		want int
	}{
		{"1Gi", "1024Mi", 0}, {"0.5", "500m", 0}, {"1G", "1Gi", -1}, {"2", "1999m", 1}, {"1e3", "1k", 0}, {"1n", "1u", -1},
	} {
		if got := c.a.Compare(c.b); got != c.want {
			t.Errorf("%s against %s is %d, want %d", c.a, c.b, got, c.want)
		}
		if got := c.b.Compare(c.a); got != -c.want {
			t.Errorf("%s against %s is %d, want %d", c.b, c.a, got, -c.want)
		}
	}
}

// FuzzQuantity wants the three readings of a quantity to agree.
func FuzzQuantity(f *testing.F) {
	for _, s := range []string{"0", "100m", "1.5Gi", "129e6", "1e-3", "7Ei", "1n", "x", "9223372036854775807"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := Quantity(s)
		value, err := q.Value()
		if err != nil {
			return
		}
		if value < 0 {
			t.Fatalf("%q is negative: %d", s, value)
		}
		if milli, err := q.Milli(); err == nil && (milli > 0) != (value > 0) {
			t.Fatalf("%q is %d units and %d thousandths", s, value, milli)
		} else if err == nil && value < math.MaxInt64/1000 && (milli > value*1000 || milli <= (value-1)*1000) {
			t.Fatalf("%q is %d units, yet %d thousandths", s, value, milli)
		}
		if q.Compare(q) != 0 {
			t.Fatalf("%q does not equal itself", s)
		}
	})
}

// The short way for common quantities says what the long way says.
func TestQuantity_SmallIsExact(t *testing.T) {
	for _, number := range []string{"0", "1", "7", "999", "1000", "1001", "1024", "123456", "000001"} {
		for _, suffix := range []string{"", "m", "k", "M", "G", "Ki", "Mi", "Gi"} {
			q := Quantity(number + suffix)
			milli, ok := q.small()
			if !ok {
				t.Errorf("%s: not taken for a common quantity", q)
			}
			r, err := q.rat()
			if err != nil {
				t.Fatal(err)
			}
			if r.Mul(r, big.NewRat(1000, 1)).Cmp(new(big.Rat).SetInt64(milli)) != 0 {
				t.Errorf("%s: %d thousandths, want %s", q, milli, r)
			}
		}
	}
	for _, q := range []Quantity{"", "m", "1234567", "1.5", "1T", "1e3", "-1", "1mi", "1n"} {
		if _, ok := q.small(); ok {
			t.Errorf("%s: taken for a common quantity", q)
		}
	}
}
