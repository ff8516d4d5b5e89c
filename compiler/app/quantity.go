package app

import (
	"cmp"
	"fmt"
	"math/big"
	"regexp"
)

// Quantity is a Kubernetes resource quantity as written: "250m", "64Mi".
type Quantity string

// The grammar of apimachinery's resource.Quantity, without the exponent's long
// tail: number, then a binary, decimal or milli suffix, or an exponent.
var quantityPattern = regexp.MustCompile(`^([0-9]+)(?:\.([0-9]+))?(Ki|Mi|Gi|Ti|Pi|Ei|[num]|[kMGTPE]|[eE][+-]?[0-9]{1,2})?$`)

// Milli is the quantity in thousandths, rounded up, as Kubernetes rounds.
func (q Quantity) Milli() (int64, error) { return q.scaled(1000) }

// Value is the quantity in whole units (bytes, cores), rounded up.
func (q Quantity) Value() (int64, error) { return q.scaled(1) }

// Compare is negative when q is less than other, positive when it is more, and
// 0 when they are the same amount, however written. A quantity that cannot be
// read counts as nothing.
func (q Quantity) Compare(other Quantity) int {
	if a, ok := q.small(); ok {
		if b, ok := other.small(); ok {
			return cmp.Compare(a, b)
		}
	}
	amount := func(q Quantity) *big.Rat {
		r, err := q.rat()
		if err != nil {
			return new(big.Rat)
		}
		return r
	}
	return amount(q).Cmp(amount(other))
}

// small is the amount in thousandths when it is written as most are: up to six
// digits and a suffix from m to Gi. Exact arithmetic costs fifty times as much.
func (q Quantity) small() (milli int64, ok bool) {
	digits := 0
	for digits < len(q) && q[digits] >= '0' && q[digits] <= '9' {
		milli = milli*10 + int64(q[digits]-'0')
		digits++
	}
	if digits == 0 || digits > 6 {
		return 0, false
	}
	switch q[digits:] {
	case "m":
		return milli, true
	case "":
		return milli * 1000, true
	case "k":
		return milli * 1000 * 1000, true
	case "M":
		return milli * 1000 * 1000 * 1000, true
	case "G":
		return milli * 1000 * 1000 * 1000 * 1000, true
	case "Ki":
		return milli * 1000 << 10, true
	case "Mi":
		return milli * 1000 << 20, true
	case "Gi":
		return milli * 1000 << 30, true
	}
	return 0, false
}

// rat is the exact amount.
func (q Quantity) rat() (*big.Rat, error) {
	m := quantityPattern.FindStringSubmatch(string(q))
	if m == nil {
		return nil, fmt.Errorf("%q is not a quantity such as 250m, 0.5, 64Mi or 1G", string(q))
	}
	r, _ := new(big.Rat).SetString(m[1] + "." + m[2] + "0")
	return r.Mul(r, multiplier(m[3])), nil
}

func (q Quantity) scaled(unit int64) (int64, error) {
	if milli, ok := q.small(); ok && unit == 1000 {
		return milli, nil
	} else if ok && unit == 1 {
		return (milli + 999) / 1000, nil
	}
	r, err := q.rat()
	if err != nil {
		return 0, err
	}
	r.Mul(r, new(big.Rat).SetInt64(unit))
	whole := new(big.Int).Div(new(big.Int).Add(r.Num(), new(big.Int).Sub(r.Denom(), big.NewInt(1))), r.Denom())
	if !whole.IsInt64() {
		return 0, fmt.Errorf("%q is larger than Kubernetes allows (2^63-1)", string(q))
	}
	return whole.Int64(), nil
}

func multiplier(suffix string) *big.Rat {
	pow := func(base, exp int64) *big.Rat {
		return new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(base), big.NewInt(exp), nil))
	}
	binary := map[string]int64{"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
	decimal := map[string]int64{"": 0, "k": 1, "M": 2, "G": 3, "T": 4, "P": 5, "E": 6}
	fraction := map[string]int64{"m": 1, "u": 2, "n": 3}
	if e, ok := binary[suffix]; ok {
		return pow(1024, e)
	}
	if e, ok := decimal[suffix]; ok {
		return pow(1000, e)
	}
	if e, ok := fraction[suffix]; ok {
		return new(big.Rat).Inv(pow(1000, e))
	}
	var e int64
	fmt.Sscanf(suffix[1:], "%d", &e)
	if e < 0 {
		return new(big.Rat).Inv(pow(10, -e))
	}
	return pow(10, e)
}
