#include <chrono>
#include <cxxabi.h>
#include <fstream>
static ifstream tl_in("input");
static string tl_token() { string line; if (!getline(tl_in, line)) exit(97); return line; }
template <class T> struct TlIn;
template <> struct TlIn<long long> { static long long read() { return stoll(tl_token()); } };
template <> struct TlIn<double> { static double read() { return stod(tl_token()); } };
template <> struct TlIn<bool> { static bool read() { return tl_token() == "1"; } };
template <> struct TlIn<string> { static string read() {
    string hex = tl_token(), text;
    for (size_t i = 1; i + 1 < hex.size(); i += 2) text += (char)stoi(hex.substr(i, 2), nullptr, 16);
    return text;
} };
template <class T> struct TlIn<optional<T>> { static optional<T> read() { if (TlIn<bool>::read()) return TlIn<T>::read(); return nullopt; } };
template <class T> struct TlIn<vector<T>> { static vector<T> read() {
    vector<T> v; long long n = TlIn<long long>::read(); for (long long i = 0; i < n; i++) v.push_back(TlIn<T>::read()); return v;
} };
template <class T> struct TlIn<map<string, T>> { static map<string, T> read() {
    map<string, T> v; long long n = TlIn<long long>::read();
    for (long long i = 0; i < n; i++) { string key = TlIn<string>::read(); v.emplace(key, TlIn<T>::read()); } return v;
} };
static void tl_write(const string &s) {
    fputc('"', tl_out);
    for (unsigned char c : s) {
        if (c == '"' || c == '\\') { fputc('\\', tl_out); fputc(c, tl_out); }
        else if (c < 32) fprintf(tl_out, "\\u%04x", c);
        else fputc(c, tl_out);
    }
    fputc('"', tl_out);
}
static void tl_write(long long v) { fprintf(tl_out, "%lld", v); }
static void tl_write(double v) { if (isfinite(v)) fprintf(tl_out, "%.17g", v); else fputs("\"not a number\"", tl_out); }
static void tl_write(bool v) { fputs(v ? "true" : "false", tl_out); }
template <class T> void tl_write(const optional<T> &v);
template <class T> void tl_write(const vector<T> &v);
template <class T> void tl_write(const map<string, T> &v);
template <class T> void tl_write(const optional<T> &v) { if (v) tl_write(*v); else fputs("null", tl_out); }
template <class T> void tl_write(const vector<T> &v) {
    fputc('[', tl_out); bool first = true;
    for (const T &x : v) { if (!first) fputc(',', tl_out); first = false; tl_write(x); }
    fputc(']', tl_out);
}
template <class T> void tl_write(const map<string, T> &v) {
    fputc('{', tl_out); bool first = true;
    for (const auto &[k, x] : v) { if (!first) fputc(',', tl_out); first = false; tl_write(k); fputc(':', tl_out); tl_write(x); }
    fputc('}', tl_out);
}
int main() {
    tl_keep_printed();
    long long count = TlIn<long long>::read();
    for (long long number = 0; number < count; number++) {
        TL_READS
        tl_number = number;
        fprintf(tl_out, "%s{\"begin\":%lld}\n", TL_NONCE, number); fflush(tl_out);
        auto started = chrono::steady_clock::now();
        string error, type = "exception"; bool thrown = false; optional<TL_RETURNS> value;
        try { value = TL_CALL; }
        catch (const exception &e) { thrown = true; error = e.what(); type = abi::__cxa_demangle(typeid(e).name(), nullptr, nullptr, nullptr); }
        catch (...) { thrown = true; error = "something that is no std::exception"; }
        double ms = chrono::duration<double, milli>(chrono::steady_clock::now() - started).count();
        fprintf(tl_out, "%s{\"case\":%lld,\"ms\":%.2f,\"stdout\":", TL_NONCE, number, ms);
        cout.flush();
        char text[4000]; tl_write(string(text, tl_take_printed(text, sizeof text)));
        if (thrown) { fputs(",\"error\":{\"type\":", tl_out); tl_write(type); fputs(",\"message\":", tl_out); tl_write(error); fputc('}', tl_out); }
        else { fputs(",\"value\":", tl_out); tl_write(*value); }
        fputs("}\n", tl_out); fflush(tl_out);
    }
}
