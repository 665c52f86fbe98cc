import ShardPreparation
import Testing

/// When a broken connection is made again.
@Suite struct ShipRetryTests {
  /// Connections until the limit is reached, a thousand at most.
  private func connections(
    limit: Int, missing: (Int) -> Int, hasStored: (Int) -> Bool
  ) -> Int {
    var retries = ShipRetries(limit: limit)
    for number in 1...1000 {
      retries.connectionBegins(missing: missing(number))
      if hasStored(number) { retries.receiverHasStored() }
      guard retries.isLeft else { return number }
      let pause = retries.countFailure()
      #expect((1...15).contains(pause))
    }
    return 1000
  }

  @Test func progressGoesOn() {
    #expect(connections(limit: 1, missing: { 5000 - $0 }, hasStored: { _ in true }) == 1000)
    // Only the last of the tries has stored something.
    #expect(connections(limit: 3, missing: { 5000 - $0 / 4 }, hasStored: { $0 % 4 == 3 }) == 1000)
  }

  @Test func standstillEnds() {
    #expect(connections(limit: 5, missing: { _ in 7 }, hasStored: { _ in false }) == 6)
    #expect(connections(limit: 0, missing: { _ in 7 }, hasStored: { _ in true }) == 1)
  }

  /// Receivers that say they store something, and lack the same the next time.
  @Test func liesEnd() {
    #expect(connections(limit: 5, missing: { _ in 7 }, hasStored: { _ in true }) <= 7)
    #expect(connections(limit: 5, missing: { 7 + $0 % 2 }, hasStored: { _ in true }) <= 10)
  }
}
