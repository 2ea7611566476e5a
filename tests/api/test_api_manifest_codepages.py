"""A table in another code page than that of Western Europe is refused, and words of Western Europe are read."""

# ruff: noqa: RUF001

from __future__ import annotations

import pytest

from airflow_provider_segmind.api.errors import InvalidRequestError
from airflow_provider_segmind.api.manifest import read_manifest

TABLE = (
    "id,character_image,reference_character_image,select_character\n€,https://a.example/1.jpg,https://a.example/2.jpg,"
)


def read(words: str, codec: str) -> str:
    data = TABLE.encode("cp1252") + words.encode(codec) + b"\n"
    return read_manifest(data, "swaps.csv", select_character="woman")[0].select_character


OTHERS = {
    "cp1250": [
        "Jiří", "žena v červeném", "tři ženy", "Győr", "fehér nő", "mężczyzna", "żona", "koń", "siedzieć", "środek",
        "Gdańsk", "bărbat", "şi femeia", "Petrović", "děvče", "může být", "Język", "wartości",
        "HASŁO", "gyorsbillentyű", "dinamična", "značka",
    ],
    "cp1254": ["kırmızılı kadın", "şapkalı", "İstanbul", "doğum"],
    "cp1257": ["Šiauliai-ė", "sarkanā kleitā", "žmogus", "arhīvs", "aktivizēts", "pavadinimų eilutės"],
    "cp1251": ["я", "она", "он", "Он и она", "женщина"],
    "cp1253": ["και", "γυναίκα"],
    "mac_roman": ["Österreich", "Über", "Änderung", "école à côté", "à", "Éva", "Müller", "größer", "weiß", "«ja»",
        "où ça"],
    "cp850": ["Änne", "Österreich", "Über", "schön", "côté", "Müller"],
    "cp932": ["犬", "はし", "女性", "赤い服", "モデル", "ドレス", "マネキン", "キッズ", "モデルA", "リナ"],
    "big5": ["女人", "男人", "女", "男", "左", "小孩", "洋裝", "紅衣女人", "她", "穿藍色衣服的小女孩"],
    "gbk": ["女人", "左", "红衣女人"],
    "cp874": ["คน", "ผู้หญิง"],
}  # fmt: skip


@pytest.mark.parametrize(("codec", "words"), [(codec, one) for codec, words in OTHERS.items() for one in words])
def test_words_in_another_code_page_are_refused(codec: str, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"line 2: it is not UTF-8 .*: export it as CSV UTF-8"):
        read(words, codec)


@pytest.mark.parametrize(
    "words",
    [
        "die ältere Frau in Weiß, schöner Müller", "Größe ÄÖ, Übung, Österreich, Ähre", "„Anna“ und ‚Ben‘ – links…",
        "l’élève à côté, très près de l’œuvre, où ça, çà et là, août, dû, naïve, Noël, Haÿ, œnologue, cœur",
        "LA MÈRE À L’ÉCOLE, ÇA VA, ŒUVRE", "la niña, el señor, ¿quién?, ¡olé!, José, María, güero, NIÑO, 1.º, n.º 3",
        "as ações, põe, São João, mãe, irmãs, manhãzinha, você, três, maçã, AÇÕES", "perché è così, più, però, città",
        "Søren Sørensen, på gården, kvinde i rødt, Bøe, køen", "Øistein, blå kjole, ærlig, smør, café, idé",
        "Åsa, kvinnan på ön, å, ä, ö, Malmö", "nainen, äiti, yö, hän", "Zoë, België, coördinatie, één",
        "homogènies, conèixer, feliç",
        "història, l’època, col·lecció, què", "Tomáš, Žižek, Škoda, Šime", "5 m³, 20 °C, ½, 100 €, § 3, Æsop, vitæ",
        "‘single’ “double” — dash • dot … wait", "© Acme™, Señor® 2 × 3",
        "ƒ 50, ƒ10-ƒ20, ƒ(x)", "¥ 500, ¥500, ¤10", "3×4, 2 ÷ é", "a ~¬ ¦ ¨",
    ],
)  # fmt: skip
def test_words_of_western_europe_are_read(words: str) -> None:
    assert read(f'"{words}"', "cp1252") == words
