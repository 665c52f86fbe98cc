import TensorCore
import Testing

@Suite struct SamplesTests {
  @Test func mediansAreMiddleValues() {
    #expect(Samples.median([]) == 0)
    #expect(Samples.median([3, 1, 2]) == 2)
    #expect(Samples.median([4, 1, 3, 2]) == 2.5)
  }

  @Test func quantilesAreValuesOfTheSample() {
    let values = (1...20).map(Double.init).reversed() as [Double]
    #expect(Samples.quantile(0.95, of: values) == 19)
    #expect(Samples.quantile(0.5, of: values) == 10)
    #expect(Samples.quantile(0, of: values) == 1)
    #expect(Samples.quantile(1, of: values) == 20)
    #expect(Samples.quantile(0.95, of: [7]) == 7)
    #expect(Samples.quantile(0.5, of: []) == 0)
  }
}
