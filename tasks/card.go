package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// NotifyType is the sort of a service card, a number of WeChat's list in "新版一次性订阅消息".
type NotifyType int

// The types that WeChat's guide lists. Those of two thousand take the number of a payment
// as their code, those of one thousand a code from a button with open-type liveActivity.
const (
	CardShipped       NotifyType = 2001 // shopping, shipped
	CardSelfPickup    NotifyType = 2002 // shopping, fetched by the buyer
	CardVirtual       NotifyType = 2003 // shopping, delivered without a parcel
	CardParcel        NotifyType = 2004 // a parcel that the user sends
	CardInsurance     NotifyType = 2005 // insurance bought
	CardCityShopping  NotifyType = 2006 // shopping or food, delivered in the city
	CardWaitAndFetch  NotifyType = 2007 // shopping, food or local service, wait and fetch
	CardHotel         NotifyType = 2008
	CardFlight        NotifyType = 2009
	CardTrain         NotifyType = 2010 // a ticket for a train, coach or ship
	CardScenicSpot    NotifyType = 2011 // a ticket for a sight
	CardTaxi          NotifyType = 1001 // taxi or ride
	CardCityDelivery  NotifyType = 1003 // delivery in the city
	CardMealWaiting   NotifyType = 1004 // a meal is being prepared
	CardRestaurantRow NotifyType = 1005 // a place in a restaurant's queue
)

// notifyTypeName is one type and its name.
type notifyTypeName struct {
	t    NotifyType
	name string
}

// notifyTypeNames lists the names by which people may call the types.
func notifyTypeNames() []notifyTypeName {
	return []notifyTypeName{
		{CardTaxi, "taxi"}, {CardCityDelivery, "city_delivery"}, {CardMealWaiting, "meal_waiting"}, {CardRestaurantRow, "restaurant_queue"},
		{CardShipped, "shipped"}, {CardSelfPickup, "self_pickup"}, {CardVirtual, "virtual"}, {CardParcel, "parcel"},
		{CardInsurance, "insurance"}, {CardCityShopping, "city_shopping"}, {CardWaitAndFetch, "wait_and_fetch"}, {CardHotel, "hotel"},
		{CardFlight, "flight"}, {CardTrain, "train"}, {CardScenicSpot, "scenic_spot"},
	}
}

// NotifyTypes lists the types that have names, those of a button first.
func NotifyTypes() []NotifyType {
	names := notifyTypeNames()
	list := make([]NotifyType, len(names))
	for i, n := range names {
		list[i] = n.t
	}
	return list
}

// String is the type's name, or its number if it has none.
func (t NotifyType) String() string {
	for _, n := range notifyTypeNames() {
		if n.t == t {
			return n.name
		}
	}
	return strconv.Itoa(int(t))
}

// ParseNotifyType reads a number or a name. Whether WeChat has a type of that number is not
// looked at.
func ParseNotifyType(s string) (NotifyType, bool) {
	for _, n := range notifyTypeNames() {
		if n.name == s {
			return n.t, true
		}
	}
	number, err := strconv.Atoi(s)
	return NotifyType(number), err == nil
}

// Payment reports whether the type's codes are numbers of payments. Other codes come
// from a button.
func (t NotifyType) Payment() bool { return t >= 2000 && t < 3000 }

// Bounds of what a type can be: WeChat may add to its list, in thousands.
const minNotifyType, maxNotifyType = 1000, 9999

const (
	maxNotifyCode = 512      // bytes; a payment's number has 28
	maxCardJSON   = 16 << 10 // bytes of each of content, check and ext
)

var (
	detailNotifyType = fmt.Sprintf("required with kind card: a number of WeChat's list, such as %d for %s", CardTrain, CardTrain)
	detailNotifyCode = fmt.Sprintf("required with kind card: the payment's order number or the code of the liveActivity button, at most %d visible characters", maxNotifyCode)
	detailCardJSON   = fmt.Sprintf("must be a JSON object in UTF-8 of at most %d bytes", maxCardJSON)
)

// How long WeChat lets a card be activated and updated, from its guide on service cards.
const (
	paymentActivation = 24 * time.Hour      // after the payment
	paymentUpdates    = 30 * 24 * time.Hour // after the activation
	buttonActivation  = 5 * time.Minute     // after the code was made
	buttonUpdates     = 24 * time.Hour      // after the activation
)

// CardEnd is the time after which WeChat no longer takes this card, as far as the card
// itself tells: a payment that it activates (it has Check) was made at pay_time; any
// other code is at most as young as the notification, and its card was or is activated
// within the time for that. Zero for other kinds, and for types whose codes we do not know.
// WeChat's own clock may be over earlier, which it answers with 85438.
func (e Envelope) CardEnd() time.Time {
	switch {
	case e.Kind != KindCard:
		return time.Time{}
	case len(e.Ext) == 0 && e.NotifyType.Payment() && len(e.Check) > 0:
		return payTime(e.Check).Add(paymentActivation)
	case e.NotifyType.Payment():
		return e.EnqueuedAt.Add(paymentActivation + paymentUpdates)
	case e.NotifyType < 2000:
		return e.EnqueuedAt.Add(buttonActivation + buttonUpdates)
	}
	return time.Time{}
}

// payTime is when a payment was made, by a Check that was judged before.
func payTime(check json.RawMessage) time.Time {
	seconds, _ := wholeNumber(check, "pay_time")
	return time.Unix(seconds, 0)
}

// CardState is the state that a card is set to, false if it is set to none, as by Ext.
func (n Notification) CardState() (int64, bool) {
	if len(n.Content) == 0 {
		return 0, false
	}
	return wholeNumber(n.Content, "cur_status")
}

// PauseName is what pauses of one template call this notification by: the template, or of a
// card its type, which WeChat can deny by itself.
func (n Notification) PauseName() string {
	if n.Kind == KindCard {
		return fmt.Sprintf("card-%d", n.NotifyType)
	}
	return n.TemplateID
}

// wholeNumber reads a number of an object that is not negative.
func wholeNumber(object json.RawMessage, name string) (int64, bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(fields[name]), 10, 64)
	return n, err == nil && n >= 0
}

// card checks the fields that only KindCard has. n is as it was given.
func (v *validation) card(n Notification) {
	if n.Kind != KindCard {
		v.check(n.NotifyType == 0, "notify_type", "belongs to kind card: leave it out")
		v.check(n.NotifyCode == "", "notify_code", "belongs to kind card: leave it out")
		for field, object := range n.cardObjects() {
			v.check(len(object) == 0, field, "belongs to kind card: leave it out")
		}
		return
	}
	v.noTemplate(n)
	v.check(n.NotifyType >= minNotifyType && n.NotifyType <= maxNotifyType, "notify_type", detailNotifyType)
	v.check(ValidNotifyCode(n.NotifyCode), "notify_code", detailNotifyCode)
	v.cardJSON(n)
}

// ValidNotifyCode reports whether code can name a service card.
func ValidNotifyCode(code string) bool { return len(code) <= maxNotifyCode && visible(code) }

// noTemplate refuses what other kinds have.
func (v *validation) noTemplate(n Notification) {
	const no = "kind card has none: leave it out"
	v.check(n.TemplateID == "", "template_id", no)
	v.check(n.Page == nil, "page", no)
	v.check(len(n.Data) == 0, "data", "kind card has none: its fields go into content")
	v.check(n.MiniprogramState == "", "miniprogram_state", no)
	v.check(n.Lang == "", "lang", no)
}

func (n Notification) cardObjects() func(yield func(string, json.RawMessage) bool) {
	return func(yield func(string, json.RawMessage) bool) {
		_ = yield("content", n.Content) && yield("check", n.Check) && yield("ext", n.Ext)
	}
}

// cardJSON checks the objects of a card: it is one call, which sets content or ext.
func (v *validation) cardJSON(n Notification) {
	sound := true
	for field, object := range n.cardObjects() {
		if len(object) > 0 && !jsonObject(object) {
			v.add(field, detailCardJSON)
			sound = false
		}
	}
	switch {
	case len(n.Content) == 0 && len(n.Ext) == 0:
		v.add("content", `required with kind card: the card's fields, such as {"cur_status": 1, …}; or ext alone`)
	case len(n.Content) > 0 && len(n.Ext) > 0:
		v.add("ext", "content and ext are two calls to WeChat: send them as two notifications")
	case len(n.Ext) > 0:
		v.check(len(n.Check) == 0, "check", "goes with content: leave it out with ext")
	case sound:
		v.content(n)
	}
}

// content checks what every card's content has, and what activates a payment's.
func (v *validation) content(n Notification) {
	if _, ok := wholeNumber(n.Content, "cur_status"); !ok {
		v.add("content.cur_status", "required: the card's state, a whole number as the type's list of states has it (WeChat answers 85440)")
	}
	if len(n.Check) == 0 {
		return
	}
	v.payment(n.Check, "pay_amount", "the payment in fen")
	v.payment(n.Check, "pay_time", "its Unix time in seconds")
}

func (v *validation) payment(check json.RawMessage, field, meaning string) {
	n, ok := wholeNumber(check, field)
	v.check(ok && n <= math.MaxUint32, "check."+field, "required: "+meaning+", a whole number (WeChat answers 85433)")
}

func jsonObject(raw json.RawMessage) bool {
	if len(raw) > maxCardJSON || !utf8.Valid(raw) || !json.Valid(raw) {
		return false
	}
	return bytes.TrimLeft(raw, " \t\r\n")[0] == '{'
}

// canonical writes an object with its names in order and without blanks, so that what says
// the same is the same.
func canonical(object json.RawMessage) string {
	d := json.NewDecoder(bytes.NewReader(object))
	d.UseNumber()
	var value any
	if err := d.Decode(&value); err != nil {
		return string(object)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return string(object)
	}
	return string(text)
}
