#if MPI
  /// What the thread of a job does until the job is left.
  struct MPILoop: ~Copyable {
    private var messages: MPIMessages
    private let shared: Monitor<OpenMPIJob.Shared>
    private let timing: LinkTiming
    private var readers: [MPILinkKey: LinkReader] = [:]
    /// The newest link that each other rank has made.
    private var newest: [Int: Int32] = [:]
    private var isLeaving = false
    private var lastTick = Monotonic.now()
    private var lastNews = Monotonic.now()

    /// The longest message about the job itself.
    private static let jobMessageLimit = 16 << 10
    /// How long it looks again at once after news.
    private static let spinning = Duration.microseconds(100)
    /// How long it sleeps briefly after news: longer than a token of a large model takes.
    private static let briefly = Duration.seconds(2)

    init(
      _ messages: consuming MPIMessages, _ shared: Monitor<OpenMPIJob.Shared>,
      _ timing: LinkTiming
    ) {
      self.messages = messages
      self.shared = shared
      self.timing = timing
    }

    mutating func run() {
      do throws(TransportFault) {
        while !isLeaving || messages.isSending { try turn() }
      } catch {
        shared.update { $0.failure = error }
      }
      for reader in readers.values { reader.link.disconnected("the job is over") }
      readers = [:]
      messages.finish()
      let late = shared.update { shared in
        shared.hasLeft = true
        defer { shared.orders = [] }
        return shared.orders
      }
      for case .open(_, let link) in late { link.disconnected("the job is over") }
    }

    private mutating func turn() throws(TransportFault) {
      var isNews = false
      for order in takeOrders() {
        try follow(order)
        if case .transmit(let frame, _) = order, frame.isData { isNews = true }
      }
      if try messages.collectSent() { isNews = true }
      while let arrival = try receive() {
        try take(arrival)
        // Heartbeats, which have no payload, come while nothing happens.
        if arrival.bytes?.count ?? 0 > FrameHeader.byteCount { isNews = true }
      }
      let now = Monotonic.now()
      if now - lastTick >= timing.tick {
        lastTick = now
        for reader in readers.values { reader.link.tick() }
      }
      if isNews { lastNews = now } else { sleep(since: now - lastNews, now) }
    }

    /// Sleeps as long as news may wait, or until there are orders.
    private func sleep(since news: Duration, _ now: Duration) {
      let time: Duration =
        if news < Self.spinning || messages.isSending && news < .milliseconds(10) {
          .zero
        } else if news < Self.briefly {
          .microseconds(20)
        } else {
          .milliseconds(1)
        }
      guard time > .zero else { return yieldProcessor() }
      _ = shared.wait(until: now + time) { $0.orders.isEmpty ? nil : true }
    }

    private func takeOrders() -> [OpenMPIJob.Order] {
      shared.withLock { shared in
        guard !shared.orders.isEmpty else { return [] }
        defer { shared.orders = [] }
        return shared.orders
      }
    }

    private mutating func follow(_ order: OpenMPIJob.Order) throws(TransportFault) {
      switch order {
      case .open(let key, let link):
        readers[key] = LinkReader(link)
      case .transmit(let frame, let key):
        guard var reader = readers.removeValue(forKey: key) else { return }
        let header = reader.header(of: frame)
        readers[key] = reader
        try messages.send([header, frame.payload], to: key.rank, tag: key.tag, of: reader.link)
      case .disconnect(let key):
        guard let reader = readers.removeValue(forKey: key) else { return }
        try messages.send([], to: key.rank, tag: key.tag)
        reader.link.disconnected()
      case .tell(let message, let rank):
        try messages.send([message.bytes], to: rank, tag: 0)
      case .leave:
        isLeaving = true
      }
    }

    /// Takes the next message; no more memory is taken for it than its link allows.
    private mutating func receive() throws(TransportFault) -> MPIMessages.Arrival? {
      let readers = readers
      return try messages.receive { source, tag in
        if tag == 0 { return Self.jobMessageLimit }
        let link = readers[MPILinkKey(source: source, tag: tag)]?.link
        return FrameHeader.byteCount + (link?.frameLimit ?? LinkLimits.strangers.frame)
      }
    }

    private mutating func take(_ arrival: MPIMessages.Arrival) throws(TransportFault) {
      guard arrival.tag != 0 else { return takeJobMessage(arrival) }
      let key = MPILinkKey(source: arrival.source, tag: arrival.tag)
      guard let bytes = arrival.bytes else {
        readers[key]?.link.refuse(
          TransportFault("frameLength", "a message came that is longer than agreed"))
        return
      }
      if readers[key] == nil {
        // The rest of what a closed link had on its way, or the beginning of a new one.
        guard !key.isMadeHere, key.number > newest[key.rank, default: 0] else { return }
        newest[key.rank] = key.number
        guard !bytes.isEmpty else { return }
        guard accept(key) else { return try messages.send([], to: key.rank, tag: key.tag) }
      }
      guard var reader = readers.removeValue(forKey: key) else { return }
      guard !bytes.isEmpty else { return reader.link.disconnected() }
      unsafe reader.read(bytes.span.bytes)
      readers[key] = reader
    }

    /// Makes this side of a link that another rank has made.
    private mutating func accept(_ key: MPILinkKey) -> Bool {
      guard let accept = shared.withLock({ $0.accept }) else { return false }
      let link = Link(remote: "\(MPIJobs.address(of: key.rank))", timing: timing)
      guard let handler = accept(link) else { return false }
      link.attach(MPIWire(orders: shared, key: key), handler)
      readers[key] = LinkReader(link)
      return true
    }

    private func takeJobMessage(_ arrival: MPIMessages.Arrival) {
      guard let message = arrival.bytes.flatMap(OpenMPIJob.JobMessage.init) else { return }
      shared.update { shared in
        switch message {
        case .ready: shared.readyCount += 1
        case .unable(let farewell):
          if shared.unable == nil { shared.unable = (arrival.source, farewell) }
        case .end: shared.isOver = true
        }
      }
    }
  }
#endif
