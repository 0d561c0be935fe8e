// The plain binary form in which our own programs hand values to each other (recipes, runner specs, attempt status).
// Integers are little-endian and fixed in width; a string is a 32-bit length and its bytes; a list is a 32-bit count
// and its items. docs/formats.md specifies every message. One function describes a message for both directions:
//
//   template <class Coder> void code(Coder& c, User& user) { c(user.name, user.uid, user.gid, user.groups); }
#pragma once

#include <chrono>
#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace dewar {

template <class T>
concept Scalar = std::is_arithmetic_v<T> || std::is_enum_v<T>;

/// Appends values to `bytes()`.
class Encoder {
 public:
  template <class... T>
  void operator()(const T&... values) {
    (put(values), ...);
  }
  const std::string& bytes() const { return bytes_; }
  std::string take() { return std::move(bytes_); }

 private:
  template <Scalar T>
  void put(const T& value) {
    char raw[sizeof(T)];
    std::memcpy(raw, &value, sizeof(T));
    bytes_.append(raw, sizeof(T));
  }
  void put(const std::string& text) {
    put(static_cast<std::uint32_t>(text.size()));
    bytes_ += text;
  }
  void put(const std::chrono::nanoseconds& span) { put(static_cast<std::int64_t>(span.count())); }
  template <class T>
  void put(const std::vector<T>& items) {
    put(static_cast<std::uint32_t>(items.size()));
    for (const T& item : items) put(item);
  }
  template <class K, class V>
  void put(const std::map<K, V>& items) {
    put(static_cast<std::uint32_t>(items.size()));
    for (const auto& [key, value] : items) put(key), put(value);
  }
  template <class T>
  void put(const std::optional<T>& item) {
    put(item.has_value());
    if (item) put(*item);
  }
  template <class A, class B>
  void put(const std::pair<A, B>& pair) {
    put(pair.first), put(pair.second);
  }
  template <class T>
  requires(std::is_class_v<T>) void put(const T& value) {
    code(*this, const_cast<T&>(value));  // code() only reads when it is given an Encoder
  }

  std::string bytes_;
};

/// Reads values back in the order they were put. Never reads past the end and never allocates more than the input
/// could hold; after the first thing that does not fit, ok() is false and every value read is a default one.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}

  template <class... T>
  void operator()(T&... values) {
    (get(values), ...);
  }
  bool ok() const { return ok_; }
  /// True when everything was read and nothing is left over.
  bool complete() const { return ok_ && rest_.empty(); }

 private:
  std::string_view cut(std::size_t size) {
    if (!ok_ || size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const std::string_view piece = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return piece;
  }
  template <Scalar T>
  void get(T& value) {
    value = T{};
    const std::string_view raw = cut(sizeof(T));
    if (!ok_) return;
    if constexpr (std::is_same_v<T, bool>) {
      value = raw[0] != 0;
    } else {
      std::memcpy(&value, raw.data(), sizeof(T));
    }
  }
  std::uint32_t count() {
    std::uint32_t n = 0;
    get(n);
    if (n > rest_.size()) ok_ = false;  // every item takes at least a byte
    return ok_ ? n : 0;
  }
  void get(std::string& text) { text = std::string(cut(count())); }
  void get(std::chrono::nanoseconds& span) {
    std::int64_t n = 0;
    get(n);
    span = std::chrono::nanoseconds(n);
  }
  template <class T>
  void get(std::vector<T>& items) {
    items.clear();
    for (std::uint32_t n = count(); n > 0 && ok_; --n) get(items.emplace_back());
  }
  template <class K, class V>
  void get(std::map<K, V>& items) {
    items.clear();
    for (std::uint32_t n = count(); n > 0 && ok_; --n) {
      K key{};
      get(key);
      get(items[std::move(key)]);
    }
  }
  template <class T>
  void get(std::optional<T>& item) {
    bool present = false;
    get(present);
    item.reset();
    if (present) get(item.emplace());
  }
  template <class A, class B>
  void get(std::pair<A, B>& pair) {
    get(pair.first), get(pair.second);
  }
  template <class T>
  requires(std::is_class_v<T>) void get(T& value) { code(*this, value); }

  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace dewar
