package wxcrypt

import "testing"

func BenchmarkOpen(b *testing.B) {
	c := vectorCrypt(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Open(v3Encrypt); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSeal(b *testing.B) {
	c, message := vectorCrypt(b), []byte(v3Message)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Seal(message); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if !Verify("046e02f8204d34f8ba5fa3b1db94908f3df2e9b3", vectorToken, "1714112445", "415670741", v3Encrypt) {
			b.Fatal("refused")
		}
	}
}
