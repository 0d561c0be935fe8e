// The part of Thrift's TBinaryProtocol (docs/formats.md) that checkpoint records are made of.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace dewar::thrift {

enum class Type : std::uint8_t {
  kStop = 0,
  kBool = 2,
  kByte = 3,
  kDouble = 4,
  kI16 = 6,
  kI32 = 8,
  kI64 = 10,
  kString = 11,
  kStruct = 12,
  kMap = 13,
  kSet = 14,
  kList = 15
};

/// Appends fields. Numbers are big-endian; a signed value is given as its two's complement.
class Writer {
 public:
  void begin(std::int16_t id) { header(Type::kStruct, id); }
  void stop() { big(0, 1); }

  void field(std::int16_t id, std::int32_t value) { header(Type::kI32, id), big(static_cast<std::uint32_t>(value), 4); }
  void field(std::int16_t id, std::int64_t value) { header(Type::kI64, id), big(static_cast<std::uint64_t>(value), 8); }
  void field(std::int16_t id, std::uint64_t value) { field(id, static_cast<std::int64_t>(value)); }
  void field(std::int16_t id, double value);
  void field(std::int16_t id, const std::string& value) { header(Type::kString, id), text(value); }
  void field(std::int16_t id, const std::map<std::string, std::int64_t>& value);
  void field(std::int16_t id, const std::map<std::string, std::string>& value);
  template <class Enum>
  requires std::is_enum_v<Enum>
  void field(std::int16_t id, Enum value) { field(id, static_cast<std::int32_t>(value)); }
  template <class T>
  void field(std::int16_t id, const std::optional<T>& value) {
    if (value) field(id, *value);
  }

  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

 private:
  void header(Type type, std::int16_t id) { big(static_cast<std::uint8_t>(type), 1), big(std::uint16_t(id), 2); }
  void big(std::uint64_t value, int size);
  void map_header(std::int16_t id, Type value_type, std::size_t size);
  void text(const std::string& value) { big(value.size(), 4), bytes_ += value; }

  std::string bytes_;
};

struct Field {
  Type type = Type::kStop;
  std::int16_t id = 0;
  std::size_t offset = 0;  ///< where its header begins
};

/// Reads fields back. After the first thing that does not fit, problem() says what it was, every field is kStop and
/// every value read is a default one.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  Field field();
  void get(const Field& field, std::int32_t& value) { value = static_cast<std::int32_t>(number(field, Type::kI32, 4)); }
  void get(const Field& field, std::int64_t& value) { value = static_cast<std::int64_t>(number(field, Type::kI64, 8)); }
  void get(const Field& field, std::uint64_t& value) { value = number(field, Type::kI64, 8); }
  void get(const Field& field, double& value);
  void get(const Field& field, std::string& value);
  void get(const Field& field, std::map<std::string, std::int64_t>& value);
  void get(const Field& field, std::map<std::string, std::string>& value);
  template <class T>
  void get(const Field& field, std::optional<T>& value) {
    get(field, value.emplace());
  }
  void skip(const Field& field) { skip(field.type, 0); }

  /// Complains unless the field has this type.
  void expect(const Field& field, Type type);
  void complain(std::string words);
  bool ok() const { return problem_.empty(); }
  const std::string& problem() const { return problem_; }
  std::size_t offset() const { return at_; }
  std::string_view rest() const { return bytes_.substr(at_); }

 private:
  std::string_view cut(std::size_t size);
  std::uint64_t big(int size);
  std::uint64_t number(const Field& field, Type type, int size);
  std::uint64_t map_size(const Field& field, Type value_type);
  std::string text() { return std::string(cut(big(4))); }
  void skip(Type type, int depth);

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::string problem_;
};

}  // namespace dewar::thrift
