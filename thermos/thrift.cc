#include "thermos/thrift.h"

#include <bit>
#include <utility>

namespace dewar::thrift {
namespace {

constexpr int kMaxDepth = 32;  // of unknown values, which are skipped

int fixed_size(Type type) {
  switch (type) {
    case Type::kBool:
    case Type::kByte:
      return 1;
    case Type::kI16:
      return 2;
    case Type::kI32:
      return 4;
    case Type::kDouble:
    case Type::kI64:
      return 8;
    default:
      return 0;
  }
}

}  // namespace

void Writer::big(std::uint64_t value, int size) {
  for (int shift = 8 * (size - 1); shift >= 0; shift -= 8) bytes_ += static_cast<char>(value >> shift & 0xff);
}

void Writer::field(std::int16_t id, double value) {
  header(Type::kDouble, id);
  big(std::bit_cast<std::uint64_t>(value), 8);
}

void Writer::field(std::int16_t id, const std::map<std::string, std::int64_t>& value) {
  map_header(id, Type::kI64, value.size());
  for (const auto& [name, number] : value) text(name), big(static_cast<std::uint64_t>(number), 8);
}

void Writer::field(std::int16_t id, const std::map<std::string, std::string>& value) {
  map_header(id, Type::kString, value.size());
  for (const auto& [name, words] : value) text(name), text(words);
}

void Writer::map_header(std::int16_t id, Type value_type, std::size_t size) {
  header(Type::kMap, id);
  big(static_cast<std::uint8_t>(Type::kString), 1);
  big(static_cast<std::uint8_t>(value_type), 1);
  big(size, 4);
}

void Reader::complain(std::string words) {
  if (ok()) problem_ = std::move(words) + " at byte " + std::to_string(at_);
}

std::string_view Reader::cut(std::size_t size) {
  if (size > bytes_.size() - at_) complain("the record ends early");
  if (!ok()) return {};
  at_ += size;
  return bytes_.substr(at_ - size, size);
}

std::uint64_t Reader::big(int size) {
  std::uint64_t value = 0;
  for (const char byte : cut(static_cast<std::size_t>(size))) value = value << 8 | static_cast<std::uint8_t>(byte);
  return value;
}

Field Reader::field() {
  Field field;
  field.offset = at_;
  field.type = static_cast<Type>(big(1));
  if (field.type != Type::kStop) field.id = static_cast<std::int16_t>(big(2));
  return ok() ? field : Field{};
}

void Reader::expect(const Field& field, Type type) {
  if (field.type != type) complain("field " + std::to_string(field.id) + " has another type than it should");
}

std::uint64_t Reader::number(const Field& field, Type type, int size) {
  expect(field, type);
  return big(size);
}

void Reader::get(const Field& field, double& value) { value = std::bit_cast<double>(number(field, Type::kDouble, 8)); }

void Reader::get(const Field& field, std::string& value) {
  expect(field, Type::kString);
  value = text();
}

void Reader::get(const Field& field, std::map<std::string, std::int64_t>& value) {
  for (std::uint64_t count = map_size(field, Type::kI64); count > 0 && ok(); --count) {
    std::string name = text();
    value[std::move(name)] = static_cast<std::int64_t>(big(8));
  }
}

void Reader::get(const Field& field, std::map<std::string, std::string>& value) {
  for (std::uint64_t count = map_size(field, Type::kString); count > 0 && ok(); --count) {
    std::string name = text();
    value[std::move(name)] = text();
  }
}

std::uint64_t Reader::map_size(const Field& field, Type value_type) {
  expect(field, Type::kMap);
  const auto key = static_cast<Type>(big(1)), held = static_cast<Type>(big(1));
  const std::uint64_t count = big(4);
  if (count > 0 && (key != Type::kString || held != value_type)) complain("a map of other things");
  return count;
}

void Reader::skip(Type type, int depth) {
  if (depth > kMaxDepth) return complain("nested too deep");
  if (const int size = fixed_size(type)) {
    cut(static_cast<std::size_t>(size));
  } else if (type == Type::kString) {
    cut(big(4));
  } else if (type == Type::kStruct) {
    for (Field inner = field(); inner.type != Type::kStop; inner = field()) skip(inner.type, depth + 1);
  } else if (type == Type::kMap) {
    const auto key_type = static_cast<Type>(big(1)), value_type = static_cast<Type>(big(1));
    for (std::uint64_t count = big(4); count > 0 && ok(); --count) {
      skip(key_type, depth + 1), skip(value_type, depth + 1);
    }
  } else if (type == Type::kSet || type == Type::kList) {
    const auto item_type = static_cast<Type>(big(1));
    for (std::uint64_t count = big(4); count > 0 && ok(); --count) skip(item_type, depth + 1);
  } else {
    complain("unknown type " + std::to_string(static_cast<int>(type)));
  }
}

}  // namespace dewar::thrift
