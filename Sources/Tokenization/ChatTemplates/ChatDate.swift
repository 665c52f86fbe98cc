/// A date and time of day that a chat template may print.
public struct ChatDate: Sendable, Equatable {
  public var year: Int
  /// 1 to 12.
  public var month: Int
  /// 1 to 31.
  public var day: Int
  public var hour: Int
  public var minute: Int
  public var second: Int

  public init(year: Int, month: Int, day: Int, hour: Int = 0, minute: Int = 0, second: Int = 0) {
    self.year = year
    self.month = month
    self.day = day
    self.hour = hour
    self.minute = minute
    self.second = second
  }

  private static let months = [
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
  ]
  private static let days = [
    "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
  ]

  /// Whether every part is in its range and the year has four digits.
  var isSound: Bool {
    (1000...9999).contains(year) && (1...12).contains(month) && (1...31).contains(day)
      && (0...23).contains(hour) && (0...59).contains(minute) && (0...60).contains(second)
  }

  /// What one letter of a C format stands for in English; nil for letters not known here.
  ///
  /// - Precondition: the date is sound.
  func formatted(_ letter: Unicode.Scalar) -> String? {
    func two(_ value: Int) -> String { value < 10 ? "0\(value)" : "\(value)" }
    switch letter {
    case "d": return two(day)
    case "m": return two(month)
    case "Y": return "\(year)"
    case "y": return two(year % 100)
    case "B": return Self.months[month - 1]
    case "b": return String(Self.months[month - 1].prefix(3))
    case "A": return Self.days[weekday]
    case "a": return String(Self.days[weekday].prefix(3))
    case "H": return two(hour)
    case "M": return two(minute)
    case "S": return two(second)
    case "%": return "%"
    default: return nil
    }
  }

  /// Days since the last Sunday, in the Gregorian calendar.
  private var weekday: Int {
    let shifted = month < 3 ? year - 1 : year
    let offsets = [0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4]
    return (shifted + shifted / 4 - shifted / 100 + shifted / 400 + offsets[month - 1] + day) % 7
  }
}
