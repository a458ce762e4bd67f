package metrics

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// Each scrape asks anew, each server on its own.
func TestCertificatesEnd(t *testing.T) {
	t.Parallel()
	const name = "wxnotify_tls_certificate_expires_timestamp_seconds"
	m := New(Info{})
	until := time.Unix(1000, 0)
	for server, end := range map[string]func() time.Time{
		ServerGateway:   func() time.Time { return until },
		ServerDashboard: func() time.Time { return time.Unix(7, 0) },
	} {
		if err := m.CollectCertificate(server, end); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"1000", "2000"} {
		text := "# HELP " + name + " When the certificate that the server serves now expires, Unix time; absent where it speaks plain HTTP.\n" +
			"# TYPE " + name + " gauge\n" + name + `{server="dashboard"} 7` + "\n" + name + `{server="gateway"} ` + want + "\n"
		if err := testutil.GatherAndCompare(m.registry, strings.NewReader(text), name); err != nil {
			t.Error(err)
		}
		until = time.Unix(2000, 0)
	}
	if err := m.CollectCertificate(ServerGateway, time.Now); err == nil {
		t.Error("a second certificate of one server is taken")
	}
	if err := (*Metrics)(nil).CollectCertificate(ServerGateway, time.Now); err != nil {
		t.Error(err)
	}
}
