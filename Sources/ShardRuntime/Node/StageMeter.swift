import ShardTransport

/// Counts the passes of a stage; asked from other threads while it computes.
final class StageMeter: Sendable {
  private struct Counts {
    var steps = 0
    var tokens = 0
    /// Durations of the latest passes of one row, in no order.
    var decodeSteps: [Duration] = []
    var nextSlot = 0
    var prefillTokens = 0
    var prefillTime = Duration.zero
  }

  private let counts = Monitor(Counts())
  private let ledgerBytes: Int?
  private static let slots = 4096

  init(ledgerBytes: Int?) { self.ledgerBytes = ledgerBytes }

  func record(rows: Int, time: Duration) {
    counts.withLock { counts in
      counts.steps += 1
      counts.tokens += rows
      guard rows == 1 else {
        counts.prefillTokens += rows
        counts.prefillTime += time
        return
      }
      if counts.decodeSteps.count < Self.slots {
        counts.decodeSteps.append(time)
      } else {
        counts.decodeSteps[counts.nextSlot] = time
        counts.nextSlot = (counts.nextSlot + 1) % Self.slots
      }
    }
  }

  func statistics(of description: StageDescription, restart: Bool) -> NodeStatistics {
    counts.withLock { counts in
      defer { if restart { counts = Counts() } }
      let times = counts.decodeSteps.sorted()
      let prefill = counts.prefillTime.inSeconds
      return NodeStatistics(
        node: description.node, layers: description.layers,
        holdsEmbedding: description.holdsEmbedding, holdsHead: description.holdsHead,
        steps: counts.steps, tokens: counts.tokens,
        secondsPerDecodeStep: times.isEmpty ? nil : times[times.count / 2].inSeconds,
        secondsPerPrefillToken: counts.prefillTokens == 0
          ? nil : prefill / Double(counts.prefillTokens),
        peakResidentBytes: ProcessMemory.peakResidentBytes, ledgerBytes: ledgerBytes)
    }
  }
}
