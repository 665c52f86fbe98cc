#if MPI
  import CMPI

  /// The messages of MPI, in the hands of one thread: what came, what is still being sent.
  ///
  /// A message's tag names the link it belongs to; tag 0 is the job's own.
  struct MPIMessages: ~Copyable {
    let rank: Int
    let size: Int

    private var sending: [Sending] = []

    /// Joins the job.
    init() throws(TransportFault) {
      var (rank, size): (Int32, Int32) = (0, 1)
      unsafe try Self.check(cmpi_start(&rank, &size))
      cmpi_sleep_precisely()
      self.rank = Int(rank)
      self.size = Int(size)
    }

    var isSending: Bool { !sending.isEmpty }

    /// Begins to send; an empty message is one, too.
    mutating func send(
      _ parts: [[UInt8]], to rank: Int, tag: Int32, of link: Link? = nil
    ) throws(TransportFault) {
      sending.append(try Sending(parts, to: rank, tag: tag, of: link))
    }

    /// Gives back the memory of what is sent, and tells its links.
    ///
    /// - Returns: whether there was any.
    mutating func collectSent() throws(TransportFault) -> Bool {
      var remaining: [Sending] = []
      for message in sending where try !message.isSent() { remaining.append(message) }
      defer { sending = remaining }
      return remaining.count < sending.count
    }

    /// A message that came.
    struct Arrival {
      let source: Int
      let tag: Int32
      /// Nil where it was longer than allowed.
      let bytes: [UInt8]?
    }

    /// Takes the next message.
    ///
    /// - Parameter limit: most bytes of a message with this source and tag; no more memory is
    ///   taken for it.
    mutating func receive(
      limit: (_ source: Int, _ tag: Int32) -> Int
    ) throws(TransportFault) -> Arrival? {
      var message: MPI_Message?
      var (found, source, tag, count): (Int32, Int32, Int32, Int32) = (0, 0, 0, 0)
      unsafe try Self.check(cmpi_probe(&message, &found, &source, &tag, &count))
      guard found != 0 else { return nil }
      let most = limit(Int(source), tag)
      guard Int(count) <= most else {
        // Reading less than came is the way to be rid of it, and an error.
        var byte: UInt8 = 0
        _ = unsafe cmpi_receive(&message, &byte, 1)
        return Arrival(source: Int(source), tag: tag, bytes: nil)
      }
      var code: Int32 = 0
      let bytes = unsafe [UInt8](unsafeUninitializedCapacity: max(Int(count), 1)) {
        code = unsafe cmpi_receive(&message, $0.baseAddress, count)
        $1 = Int(count)
      }
      try Self.check(code)
      return Arrival(source: Int(source), tag: tag, bytes: bytes)
    }

    /// Leaves MPI; waits for all other ranks to do so.
    mutating func finish() {
      _ = cmpi_finish()
      sending = []
    }

    fileprivate static func check(_ code: Int32) throws(TransportFault) {
      guard code != MPI_SUCCESS else { return }
      var text = [CChar](repeating: 0, count: Int(MPI_MAX_ERROR_STRING))
      unsafe cmpi_describe(code, &text)
      let end = text.firstIndex(of: 0) ?? text.endIndex
      let reason = String(decoding: text[..<end].map { UInt8(bitPattern: $0) }, as: UTF8.self)
      throw TransportFault(
        "mpi", "MPI failed: \(reason); see that mpirun and shardrun use the same Open MPI")
    }
  }

  /// A message on its way.
  ///
  // SAFETY: both pieces of memory are this object's own until it ends, which is after MPI has said
  // that it reads and writes them no more, or has itself ended.
  @safe private final class Sending {
    private let bytes: UnsafeMutableRawBufferPointer
    private let request: UnsafeMutablePointer<MPI_Request?>
    /// Whom to tell.
    private let link: Link?

    init(
      _ parts: [[UInt8]], to rank: Int, tag: Int32, of link: Link?
    ) throws(TransportFault) {
      let count = parts.reduce(0) { $0 + $1.count }
      unsafe bytes = .allocate(byteCount: max(count, 1), alignment: 16)
      unsafe request = .allocate(capacity: 1)
      unsafe request.initialize(to: nil)
      self.link = link
      var offset = 0
      for part in parts {
        unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[offset...]).copyBytes(from: part)
        offset += part.count
      }
      try MPIMessages.check(
        unsafe cmpi_send(bytes.baseAddress, Int32(count), Int32(rank), tag, request))
    }

    deinit {
      unsafe bytes.deallocate()
      unsafe request.deallocate()
    }

    /// Whether MPI is done with it; its link hears of that once.
    func isSent() throws(TransportFault) -> Bool {
      var isDone: Int32 = 0
      try MPIMessages.check(unsafe cmpi_is_sent(request, &isDone))
      guard isDone != 0 else { return false }
      link?.sent(byteCount: unsafe bytes.count)
      return true
    }
  }
#endif
