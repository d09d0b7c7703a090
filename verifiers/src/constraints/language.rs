//! Which language a text is in.
//!
//! The published checks ask `langdetect`, which draws random numbers and has no exact port. Here the crate `whatlang`
//! decides by script and trigrams (Cavnar and Trenkle 1994), restricted to the languages that `langdetect` knows. In
//! front of it stand function words, the most telling part of a short text: they decide where they are frequent, and
//! they alone know Albanian, Somali and Swahili. A text without letters is in no language.

use std::collections::HashSet;
use std::sync::LazyLock;

use whatlang::{Detector, Lang};

use super::text::words;

/// A language that a response may be asked for in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    /// One that trigrams or its script tell.
    Told(Lang),
    /// One that its function words alone tell, by its code.
    ByWords(&'static str),
    /// Chinese in simplified characters.
    Simplified,
    /// Chinese in traditional characters.
    Traditional,
}

/// English, which two other constraints ask for.
pub(super) const ENGLISH: Language = Language::Told(Lang::Eng);

/// The codes of ISO 639-1 by which languages are asked for.
const CODES: [(&str, Language); 56] = {
    use Language::{ByWords, Simplified, Told, Traditional};
    [
        ("af", Told(Lang::Afr)),
        ("ar", Told(Lang::Ara)),
        ("bg", Told(Lang::Bul)),
        ("bn", Told(Lang::Ben)),
        ("ca", Told(Lang::Cat)),
        ("cs", Told(Lang::Ces)),
        ("cy", Told(Lang::Cym)),
        ("da", Told(Lang::Dan)),
        ("de", Told(Lang::Deu)),
        ("el", Told(Lang::Ell)),
        ("en", ENGLISH),
        ("es", Told(Lang::Spa)),
        ("et", Told(Lang::Est)),
        ("fa", Told(Lang::Pes)),
        ("fi", Told(Lang::Fin)),
        ("fr", Told(Lang::Fra)),
        ("gu", Told(Lang::Guj)),
        ("he", Told(Lang::Heb)),
        ("hi", Told(Lang::Hin)),
        ("hr", Told(Lang::Hrv)),
        ("hu", Told(Lang::Hun)),
        ("id", Told(Lang::Ind)),
        ("it", Told(Lang::Ita)),
        ("ja", Told(Lang::Jpn)),
        ("kn", Told(Lang::Kan)),
        ("ko", Told(Lang::Kor)),
        ("lt", Told(Lang::Lit)),
        ("lv", Told(Lang::Lav)),
        ("mk", Told(Lang::Mkd)),
        ("ml", Told(Lang::Mal)),
        ("mr", Told(Lang::Mar)),
        ("ne", Told(Lang::Nep)),
        ("nl", Told(Lang::Nld)),
        ("no", Told(Lang::Nob)),
        ("pa", Told(Lang::Pan)),
        ("pl", Told(Lang::Pol)),
        ("pt", Told(Lang::Por)),
        ("ro", Told(Lang::Ron)),
        ("ru", Told(Lang::Rus)),
        ("sk", Told(Lang::Slk)),
        ("sl", Told(Lang::Slv)),
        ("so", ByWords("so")),
        ("sq", ByWords("sq")),
        ("sv", Told(Lang::Swe)),
        ("sw", ByWords("sw")),
        ("ta", Told(Lang::Tam)),
        ("te", Told(Lang::Tel)),
        ("th", Told(Lang::Tha)),
        ("tl", Told(Lang::Tgl)),
        ("tr", Told(Lang::Tur)),
        ("uk", Told(Lang::Ukr)),
        ("ur", Told(Lang::Urd)),
        ("vi", Told(Lang::Vie)),
        ("zh", Told(Lang::Cmn)),
        ("zh-cn", Simplified),
        ("zh-tw", Traditional),
    ]
};

/// Words that carry grammar, by the language they tell.
const FUNCTION_WORDS: [(Language, &str); 11] = [
    (
        ENGLISH,
        "the of and to that is for are with this be have from not you it was which their your they can will \
         would by what my there has its been our if were these how about",
    ),
    (
        Language::Told(Lang::Spa),
        "el los las y que en una por con para es del se lo como más pero sus su muy al está son también este \
         cuando hay nos",
    ),
    (
        Language::Told(Lang::Fra),
        "le les et des est une pour dans qui sur pas vous nous avec du au aux il ce cette plus sont je mais \
         ou elle leur",
    ),
    (
        Language::Told(Lang::Deu),
        "der die das und ist nicht ein eine mit für auf von zu den dem sich auch es ich sie wir im wird sind \
         oder einen aber wie",
    ),
    (
        Language::ByWords("sq"),
        "dhe të në për një që është nga më ka nuk e i janë por si këtë kjo tij gjithë duke mund ishte kur ose \
         me",
    ),
    (
        Language::ByWords("so"),
        "waa iyo ka ku oo waxaa ah uu ayaa soo in la aan waxay ay kale lagu badan wuxuu isku sida dad marka \
         inuu laga",
    ),
    (
        Language::ByWords("sw"),
        "na ya wa kwa ni katika la za cha kuwa hii hiyo au pia ambao ambayo kama lakini sana yake wake vya hivyo watu \
         kila ili bila kutoka yetu yako yangu yao mimi wewe huo hizi hilo hapa huyo sasa si kitu ikiwa kuna hakuna huna \
         tena tafadhali wako wao wetu lake zake baada kabla juu chini kati ndani",
    ),
    (
        Language::Told(Lang::Por),
        "o os uma e que não para com por do da dos das no na em um se mais como você são ao foi mas também pelo pela \
         seu sua está este esta isso muito",
    ),
    (
        Language::Told(Lang::Ita),
        "il lo gli la di che è e un una per non con del della dei delle nel sono si più come questo questa anche al \
         alla da ma ha hanno essere molto",
    ),
    (
        Language::Told(Lang::Ind),
        "yang dan di untuk dengan ini itu dari pada tidak adalah dalam akan ke oleh anda atau juga sebagai bisa dapat \
         karena sudah mereka kami",
    ),
    (
        Language::Told(Lang::Tgl),
        "ang ng sa mga ay na hindi ito siya para kung isang mo ko niya namin kanila iyong at may ni si nang",
    ),
];

/// Among words of a text, the share of function words from which on they decide.
const TELLING_SHARE: f64 = 0.2;

/// Words that are looked at; a text does not change its language for the reward's sake after these.
const MOST_WORDS: usize = 2000;

static DETECTOR: LazyLock<Detector> = LazyLock::new(|| {
    let told = CODES.iter().filter_map(|(_, language)| match language {
        Language::Told(lang) => Some(*lang),
        Language::ByWords(_) | Language::Simplified | Language::Traditional => None,
    });
    Detector::with_allowlist(told.collect())
});

static WORD_LISTS: LazyLock<Vec<HashSet<&str>>> =
    LazyLock::new(|| FUNCTION_WORDS.iter().map(|(_, list)| list.split_whitespace().collect()).collect());

impl Language {
    /// Finds a language by its code.
    ///
    /// # Errors
    ///
    /// If it cannot be told from others; names those that can.
    pub(super) fn of(code: &str) -> Result<Self, String> {
        let found = CODES.iter().find(|(known, _)| *known == code);
        found.map(|(_, language)| *language).ok_or_else(|| {
            let known: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
            format!("`language` is `{code}`, which is not among those that can be told: {}", known.join(", "))
        })
    }

    /// Whether a text is in this language.
    pub(super) fn is_of(self, text: &str) -> bool {
        match self {
            Self::Simplified => detect(text) == Some(Self::Told(Lang::Cmn)) && shapes(text) != Some(Self::Traditional),
            Self::Traditional => detect(text) == Some(Self::Told(Lang::Cmn)) && shapes(text) != Some(Self::Simplified),
            Self::Told(_) | Self::ByWords(_) => detect(text) == Some(self),
        }
    }
}

fn detect(text: &str) -> Option<Language> {
    let by_trigrams = || DETECTOR.detect_lang(text).map(Language::Told);
    by_function_words(text).or_else(|| by_letters(text)).or_else(by_trigrams)
}

/// The language of which a text has a letter that others lack: `ы` and `э` are Russian, `ї` is Ukrainian.
fn by_letters(text: &str) -> Option<Language> {
    const TELLING: [(&str, &str, Language); 4] = [
        ("ыэ", "іїєґ", Language::Told(Lang::Rus)),
        ("іїєґ", "ыэ", Language::Told(Lang::Ukr)),
        ("ѓќѕ", "ыэіїєґ", Language::Told(Lang::Mkd)),
        ("ٹڈڑےں", "", Language::Told(Lang::Urd)),
    ];
    let text: String = text.chars().take(20 * MOST_WORDS).flat_map(char::to_lowercase).collect();
    let has = |letters: &str| text.contains(|c| letters.contains(c));
    let n_letters = text.chars().filter(|c| c.is_alphabetic()).count();
    if 50 * text.matches('ë').count() > n_letters {
        return Some(Language::ByWords("sq"));
    }
    let letters = TELLING.iter().find(|(letters, foreign, _)| has(letters) && !has(foreign));
    letters.map(|(_, _, language)| *language)
}

/// The language whose function words are frequent, and clearly more so than those of others.
fn by_function_words(text: &str) -> Option<Language> {
    let mut counts = [0_usize; FUNCTION_WORDS.len()];
    let mut n_words = 0;
    for word in words(text).take(MOST_WORDS) {
        n_words += 1;
        let word = word.to_lowercase();
        for (count, list) in counts.iter_mut().zip(WORD_LISTS.iter()) {
            *count += usize::from(list.contains(word.as_str()));
        }
    }
    let (best, most) = counts.iter().copied().enumerate().max_by_key(|(_, count)| *count)?;
    let second = counts.iter().enumerate().filter(|(i, _)| *i != best).map(|(_, count)| *count).max()?;
    let telling = most as f64 >= TELLING_SHARE * n_words as f64 && most >= 2 && most > 2 * second;
    telling.then_some(FUNCTION_WORDS[best].0)
}

/// Which shapes the characters of a Chinese text have, if they differ in one.
fn shapes(text: &str) -> Option<Language> {
    const SIMPLIFIED: &str = "这们个来为说时国会对学过发后还经现样点从间问题没见长开关进动实机话边给让谁东车书听输码页该请认权启单选无项设户误钟链错密显数据网页删检查达联络载邮传标签级级择应当确议论证";
    const TRADITIONAL: &str = "這們個來為說時國會對學過發後還經現樣點從間問題沒見長開關進動實機話邊給讓誰東車書聽輸碼頁該請認權啟單選無項設戶誤鐘鏈錯密顯數據網頁刪檢查達聯絡載郵傳標籤級級擇應當確議論證";
    let count =
        |shapes: &str, others: &str| text.chars().filter(|c| shapes.contains(*c) && !others.contains(*c)).count();
    let (simplified, traditional) = (count(SIMPLIFIED, TRADITIONAL), count(TRADITIONAL, SIMPLIFIED));
    match simplified.cmp(&traditional) {
        std::cmp::Ordering::Less => Some(Language::Traditional),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(Language::Simplified),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, text: &str) {
        for (other, language) in CODES {
            let expected = other == code || (other == "zh" && code.starts_with("zh-"));
            assert_eq!(language.is_of(text), expected, "{other}: {text}");
        }
    }

    #[test]
    fn languages() {
        check("en", "The quick answer is that it would not be wise to do so.");
        check("en", "THIS IS WRITTEN IN CAPITALS AND IT IS STILL ENGLISH.");
        check("de", "Der Hund schläft auf dem Teppich, und die Katze sieht ihm zu.");
        check("fr", "Le chat dort sur le tapis et le chien le regarde avec envie.");
        check("es", "El perro duerme en la alfombra y los niños juegan con el gato.");
        check("pt", "O cachorro dorme no tapete enquanto as crianças brincam com o gato na sala.");
        check("it", "Il cane dorme sul tappeto mentre i bambini giocano con il gatto nella stanza.");
        check("sw", "Watoto wanacheza na paka katika chumba, lakini mbwa analala kwa amani.");
        check("ru", "Собака спит на ковре, а дети и мыши играют с кошкой.");
        check("uk", "Собака спить на килимі, а діти граються з кішкою в сусідній кімнаті.");
        check("hi", "कुत्ता कालीन पर सो रहा है और बच्चे बिल्ली के साथ खेल रहे हैं।");
        check("ja", "犬は絨毯の上で眠り、子供たちは猫と遊んでいます。");
        check("ko", "개는 양탄자 위에서 자고 아이들은 고양이와 놀고 있습니다.");
        check("zh-cn", "这只狗在地毯上睡觉，孩子们在和猫玩。");
        check("zh-tw", "這隻狗在地毯上睡覺，孩子們在和貓玩。");
        check("th", "สุนัขนอนหลับอยู่บนพรม และเด็กๆ กำลังเล่นกับแมว");
    }

    #[test]
    fn no_letters_no_language() {
        for text in ["", "123 + 456", "!!!"] {
            assert_eq!(detect(text), None, "{text}");
        }
    }

    #[test]
    fn unknown_codes_are_refused() {
        let error = Language::of("tlh").unwrap_err();
        assert!(
            error.starts_with("`language` is `tlh`, which is not among those that can be told: af, ar,"),
            "{error}"
        );
    }
}
