/* What wpa_supplicant uses of wolfSSL (src/crypto/crypto_wolfssl.c), as its user_settings.h (wolfSSL manual, chapter 2.4). */
#define WOLFCRYPT_ONLY
#define SINGLE_THREADED
#define NO_FILESYSTEM
#define WOLFSSL_NO_SOCK
#define NO_ERROR_STRINGS

/* Large numbers: the portable implementation, as small as it gets, with room for what SAE multiplies. */
#define WOLFSSL_SP_MATH_ALL
#define WOLFSSL_SP_SMALL
#define WOLFSSL_SP_INT_NEGATIVE
#define SP_INT_BITS 4096
#define WOLFSSL_PUBLIC_MP

/* A passphrase must not be told by how long a calculation takes. */
#define ECC_TIMING_RESISTANT
#define TFM_TIMING_RESISTANT

/* SAE: groups 19, 20 and 21. */
#define HAVE_ECC
#define HAVE_ECC384
#define HAVE_ECC521
#define HAVE_COMP_KEY
#define WOLFSSL_SHA384
#define WOLFSSL_SHA512

/* Keys of a network: wrapped as they are handed out, and the authentication of protected management frames. */
#define HAVE_AES_KEYWRAP
#define WOLFSSL_AES_DIRECT
#define HAVE_AES_ECB
#define WOLFSSL_CMAC
#define HAVE_PBKDF2

/* Named by functions that nobody calls here, and that the linker drops. */
#define HAVE_DH
#define WOLFSSL_DES_ECB
#define NO_RSA
#define NO_DSA
