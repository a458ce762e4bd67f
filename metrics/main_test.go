package metrics

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// someLabels announces one or two values of everything.
func someLabels() Labels {
	return Labels{
		Apps:         []string{"wx1", "wx2"},
		Kinds:        []string{"subscribe"},
		Lanes:        []string{"critical", "default", "bulk"},
		Outcomes:     []string{"accepted", "dead"},
		Classes:      []string{"accepted", "transient"},
		Verdicts:     []string{"go", "done"},
		Scopes:       []string{"app", "kind"},
		APIs:         []string{"subscribe/send", "token"},
		TokenCauses:  []string{"schedule"},
		TokenResults: []string{"ok", "failed"},
		Routes:       []string{"POST /v1/notifications"},
		Jobs:         []string{"token"},

		Events:          []string{"subscribe_msg_popup_event"},
		EventResults:    []string{"queued", "ignored"},
		CallbackResults: []string{"accepted", "refused"},
		ReceiptResults:  ReceiptResults(),
		PurgedRecords:   PurgedRecords(),
		GrantSources:    GrantSources(),
		GrantResults:    GrantResults(),
	}
}

// page is what one scrape brought.
type page struct {
	// samples maps `name{label="value",…}`, labels in order, to the value; of a
	// histogram its count.
	samples map[string]float64
	// shapes lists `name{label,…} type` of every family, without duplicates.
	shapes []string
}

// scrape asks the handler for /metrics and parses the text. Other goroutines
// than the test's may call it.
func scrape(t *testing.T, m *Metrics) page {
	t.Helper()
	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if rec.Code != http.StatusOK {
		t.Errorf("scrape: status %d: %s", rec.Code, rec.Body)
		return page{}
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(rec.Body)
	if err != nil {
		t.Errorf("scrape: %v", err)
		return page{}
	}
	p := page{samples: map[string]float64{}}
	for name, family := range families {
		for _, metric := range family.GetMetric() {
			var names, pairs []string
			for _, l := range metric.GetLabel() {
				names = append(names, l.GetName())
				pairs = append(pairs, l.GetName()+`="`+l.GetValue()+`"`)
			}
			slices.Sort(names)
			slices.Sort(pairs)
			p.shapes = append(p.shapes, name+"{"+strings.Join(names, ",")+"} "+strings.ToLower(family.GetType().String()))
			value := metric.GetCounter().GetValue() + metric.GetGauge().GetValue()
			if h := metric.GetHistogram(); h != nil {
				value = float64(h.GetSampleCount())
			}
			p.samples[name+"{"+strings.Join(pairs, ",")+"}"] = value
		}
	}
	slices.Sort(p.shapes)
	p.shapes = slices.Compact(p.shapes)
	return p
}

// want fails the test unless the sample is there with this value.
func (p page) want(t *testing.T, sample string, value float64) {
	t.Helper()
	got, ok := p.samples[sample]
	if !ok {
		t.Errorf("%s is absent, want %v", sample, value)
	} else if got != value {
		t.Errorf("%s = %v, want %v", sample, got, value)
	}
}

// lacks fails the test if any sample contains part.
func (p page) lacks(t *testing.T, part string) {
	t.Helper()
	for sample := range p.samples {
		if strings.Contains(sample, part) {
			t.Errorf("%s: contains %q", sample, part)
		}
	}
}
