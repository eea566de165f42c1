internal import Events
internal import JSONText
internal import Publishing

/// Brings the steps of a delivery to the people who watch this host.
struct EventHints: DeliveryHints {
  let events: EventHub

  func hint(site: Int64, kind: String, data: RawJSON) {
    events.hint(site: site, kind: kind, data: data.text)
  }
}
