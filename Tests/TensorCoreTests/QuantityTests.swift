import TensorCore
import Testing

@Suite struct QuantityTests {
  @Test(arguments: [
    ("8G", 8 << 30), ("512M", 512 << 20), ("1.5G", 3 << 29), ("64K", 65_536), ("100", 100),
    ("100B", 100), ("0", 0), ("2T", 2 << 40), ("8GB", 8 << 30), ("8GiB", 8 << 30), ("1KiB", 1024),
    ("0.5K", 512), ("1.0", 1),
  ])
  func readsSizes(text: String, bytes: Int) {
    #expect(Quantity.bytes(text) == bytes)
  }

  @Test(arguments: [
    "", "G", "-1G", "+1G", "8 G", " 8G", "8g", "8X", "1e3", "nan", "inf", "0x10", "1.2.3", ".5G",
    "8GG", "١G", "99999999999T", "8G/s", "1,5G",
  ])
  func refusesNonsense(text: String) {
    #expect(Quantity.bytes(text) == nil)
    #expect(Quantity.seconds(text) == nil)
    #expect(Quantity.bytesPerSecond(text) == nil)
  }

  @Test func readsDurationsAndRates() {
    #expect(Quantity.seconds("300us") == 300 * 1e-6)
    #expect(Quantity.seconds("2ms") == 0.002)
    #expect(Quantity.seconds("1.5s") == 1.5)
    #expect(Quantity.seconds("20ns") == 20 * 1e-9)
    #expect(Quantity.seconds("2") == nil)
    #expect(Quantity.bytesPerSecond("24GB/s") == 24e9)
    #expect(Quantity.bytesPerSecond("1Gbit/s") == 125e6)
    #expect(Quantity.bytesPerSecond("100Mbit/s") == 12.5e6)
    #expect(Quantity.bytesPerSecond("5B/s") == 5)
    #expect(Quantity.bytesPerSecond("24GB") == nil)
  }

  @Test(arguments: [
    (0, "0 B"), (512, "512 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (1536, "1.50 KiB"),
    (10 << 20, "10.0 MiB"), (200 << 20, "200 MiB"), (1_331_439_862, "1.24 GiB"),
    (3 << 40, "3.00 TiB"), (-2048, "-2.00 KiB"),
  ])
  func describesBytes(count: Int, text: String) {
    #expect(Quantity.describe(bytes: count) == text)
  }

  @Test(arguments: [
    (0.0, 2, "0.00"), (1.005, 1, "1.0"), (1.25, 1, "1.3"), (-1.25, 1, "-1.3"),
    (99.999, 2, "100.00"),
    (3.7, 0, "4"), (-0.001, 2, "0.00"), (0.05, 3, "0.050"), (123_456.789, 2, "123456.79"),
  ])
  func writesFixedDigits(value: Double, digits: Int, text: String) {
    #expect(Quantity.fixed(value, digits: digits) == text)
  }

  @Test func writesWhatIsNoNumber() {
    #expect(Quantity.fixed(.infinity, digits: 2) == "inf")
    #expect(Quantity.fixed(.nan, digits: 2) == "nan")
  }

  @Test func countsHaveTheirNumber() {
    #expect(Quantity.count(0, "token") == "0 tokens")
    #expect(Quantity.count(1, "token") == "1 token")
    #expect(Quantity.count(2, "token") == "2 tokens")
  }
}
