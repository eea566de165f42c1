/// Endings that make a bare domain a link.
///
/// All country codes and the generic endings in common use; an ending that is missing here is counted letter by letter.
enum TopLevelDomains {
  private static let countries = """
    ac ad ae af ag ai al am ao aq ar as at au aw ax az ba bb bd be bf bg bh bi bj bm bn bo br bs bt bw by bz ca cc cd cf
    cg ch ci ck cl cm cn co cr cu cv cw cx cy cz de dj dk dm do dz ec ee eg er es et eu fi fj fk fm fo fr ga gb gd ge gf
    gg gh gi gl gm gn gp gq gr gs gt gu gw gy hk hm hn hr ht hu id ie il im in io iq ir is it je jm jo jp ke kg kh ki km
    kn kp kr kw ky kz la lb lc li lk lr ls lt lu lv ly ma mc md me mg mh mk ml mm mn mo mp mq mr ms mt mu mv mw mx my mz
    na nc ne nf ng ni nl no np nr nu nz om pa pe pf pg ph pk pl pm pn pr ps pt pw py qa re ro rs ru rw sa sb sc sd se sg
    sh si sj sk sl sm sn so sr ss st su sv sx sy sz tc td tf tg th tj tk tl tm tn to tr tt tv tw tz ua ug uk us uy uz va
    vc ve vg vi vn vu wf ws ye yt za zm zw
    """
  private static let generic = """
    abb academy accountant accountants actor ads adult aero africa agency airforce alsace amsterdam analytics apartments
    app arab archi army art arpa asia associates attorney auction audio auto autos baby band bank bar barcelona bargains
    basketball bayern beauty beer berlin best bet bible bid bike bingo bio biz black blackfriday blog blue boats bond
    boo book boston bot boutique box brussels build builders business buy buzz bzh cab cafe cam camera camp capetown
    capital car cards care career careers cars casa cash casino cat catering catholic center ceo cfd channel charity
    chat cheap christmas church city claims cleaning click clinic clothing cloud club coach codes coffee college cologne
    com community company compare computer condos construction consulting contact contractors cooking cool coop corsica
    country coupon coupons courses credit creditcard cricket cruises cymru dad dance date dating day dds deal deals
    degree delivery democrat dental dentist desi design dev diamonds diet digital direct directory discount diy docs
    doctor dog domains download earth eat eco edu education email energy engineer engineering enterprises equipment esq
    estate eus events exchange expert exposed express fail faith family fan fans farm fashion feedback film finance
    financial fish fishing fit fitness flights florist flowers fly foo food football forex forsale forum foundation free
    fun fund furniture futbol fyi gal gallery game games garden gay gdn gent gift gifts gives glass global gmbh gold
    golf google gop gov graphics gratis green gripe group guide guitars guru hair hamburg haus health healthcare help
    here hiphop hiv hockey holdings holiday homes horse hospital host hosting hot hotels house how icu immo immobilien
    inc industries info ing ink institute insure int international investments irish ist istanbul java jetzt jewelry
    jobs joburg juegos kaufen kids kim kitchen kiwi koeln krd kyoto land lat latino law lawyer lease legal lgbt life
    lifestyle lighting limited limo link live living llc loan loans locker lol london lotto love ltd ltda luxe luxury
    madrid maison makeup management map market marketing markets mba med media melbourne meme memorial men menu miami
    mil mobi moda moe moi mom money monster mortgage moscow moto motorcycles mov movie museum music nagoya name navy net
    network new news ngo ninja now nrw nyc observer okinawa one ong onl online ooo open org organic osaka page paris
    partners parts party pay pet pharmacy phd photo photography photos physio pics pictures pink pizza place play plumbing
    plus poker politie porn post press pro prod productions prof promo properties property pub quebec racing radio read
    realestate realtor realty recipes red rehab reise reisen ren rent rentals repair report republican rest restaurant
    review reviews rich rio rip rocks rodeo rsvp rugby ruhr run ryukyu saarland sale salon sarl save scholarships school
    science scot search secure security seek select services sex sexy shiksha shoes shop shopping show singles site ski
    skin soccer social software solar solutions space spa sport spot srl store stream studio study style sucks supplies
    supply support surf surgery sydney systems taipei talk tatar tattoo tax taxi team tech technology tel tennis theater
    theatre tickets tienda tips tires tirol today tokyo tools top tours town toys trade trading training travel trust
    tube university uno vacations vegas ventures versicherung vet viajes video villas vin vip vision vlaanderen vodka
    vote voting voto voyage wales wang watch watches weather web webcam website wed wedding whoswho wien wiki win wine
    work works world wtf xin xxx xyz yachts yoga yokohama you youtube zip zone zuerich
    рф бел укр срб мкд қаз бг рус сайт онлайн орг дети ком москва 中国 中國 香港 台湾 台灣 新加坡 澳門 公司 网络 网址
    商城 在线 中文网 みんな 한국 닷컴 닷넷 भारत
    """

  private static let known = Set((countries + " " + generic).split(whereSeparator: \.isWhitespace).map(String.init))

  /// Whether a label, in any case, is an ending; labels in punycode always are.
  static func contains(_ label: ArraySlice<Unicode.Scalar>) -> Bool {
    let text = String(String.UnicodeScalarView(label)).lowercased()
    return known.contains(text) || (text.hasPrefix("xn--") && text.unicodeScalars.count > 4)
  }
}
